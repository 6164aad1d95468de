// SimAM's planes on the CPU against float64, in every way that this machine has: odd sizes, every
// epilogue and type, in place and not, in buffers that end where the tensor does, by two threads.
// Prints the worst error of each way; ends with 1 where one is above its bound.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "../onnxruntime/typed.h"

using namespace simam::cpu;

namespace {

constexpr double kBound = 1e-6;  // of the largest magnitude in and out
constexpr float kLambda = 1e-4F;

struct Case {
    std::int64_t n, c, h, w;
    double mean;
    bool affine, residual;
};

double sigmoid(double t) { return 1.0 / (1.0 + std::exp(-t)); }

// What the contract says, in float64, of float32 values.
std::vector<double> wanted(Case const& given, std::vector<float> const& x, Job const& job) {
    std::vector<double> y(x.size());
    std::int64_t const hw = given.h * given.w;
    for (std::int64_t p = 0; p < given.n * given.c; ++p) {
        float const* plane = x.data() + p * hw;
        double mean = 0, v = 0;
        for (std::int64_t i = 0; i < hw; ++i) mean += plane[i] / static_cast<double>(hw);
        for (std::int64_t i = 0; i < hw; ++i) v += (plane[i] - mean) * (plane[i] - mean);
        v /= static_cast<double>(hw - 1);
        for (std::int64_t i = 0; i < hw; ++i) {
            double const d = plane[i] - mean;
            double out = plane[i] * sigmoid(d * d / (4 * (v + kLambda)) + 0.5);
            if (job.scale) out = out * job.scale[p % given.c] + job.bias[p % given.c];
            if (job.residual) out += job.residual[p * hw + i];
            if (job.scale) out = std::min<double>(std::max<double>(out, job.low), job.high);
            y[static_cast<std::size_t>(p * hw + i)] = out;
        }
    }
    return y;
}

double run(Way const& way, Case const& given, bool in_place) {
    std::mt19937 bits(7);
    std::normal_distribution<float> normal;
    auto const drawn = [&](std::int64_t count, double mean) {
        std::vector<float> values(static_cast<std::size_t>(count));
        for (float& value : values) value = normal(bits) + static_cast<float>(mean);
        return values;
    };
    std::int64_t const hw = given.h * given.w, planes = given.n * given.c;
    std::vector<float> const x = drawn(planes * hw, given.mean), scale = drawn(given.c, 0);
    std::vector<float> const bias = drawn(given.c, 0), residual = drawn(planes * hw, 0);
    std::vector<float> source = x, result(x.size());
    float* const y = in_place ? source.data() : result.data();
    Job const job{source.data(), y, given.affine ? scale.data() : nullptr,
                  given.affine ? bias.data() : nullptr,
                  given.residual ? residual.data() : nullptr, given.c, hw, kLambda, -1.0F, 6.0F};
    std::int64_t const half = planes / 2;
    std::thread other([&] { way.planes(job, 0, half); });
    way.planes(job, half, planes);
    other.join();
    std::vector<double> const expected = wanted(given, x, job);
    double worst = 0, largest = 1;
    for (std::size_t i = 0; i < x.size(); ++i) {
        worst = std::max(worst, std::fabs(y[i] - expected[i]));
        largest = std::max(largest, static_cast<double>(std::fabs(x[i])));
    }
    return worst / largest;
}

// Values of another type go through float32 and back: float64 must give float32's own results.
double typed(Way const& way, std::int64_t hw) {
    std::int64_t const planes = 6;
    std::vector<double> x(static_cast<std::size_t>(planes * hw)), y(x.size());
    std::mt19937 bits(3);
    std::normal_distribution<float> normal;
    for (double& value : x) value = static_cast<double>(normal(bits));
    std::vector<float> single(x.begin(), x.end()), result(x.size());
    Job job{single.data(), result.data(), nullptr, nullptr, nullptr, 3, hw, kLambda, 0, 0};
    way.planes(job, 0, planes);
    typed_planes(way, {job, Type::kDouble, x.data(), y.data(), nullptr}, 0, planes);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
        worst = std::max(worst, std::fabs(y[i] - static_cast<double>(result[i])));
    return worst;
}

}  // namespace

int main() {
    bool failed = false;
    for (int number = 0; number < kWayCount; ++number) {
        Way const& way = kWays[number];
        if (!way.runs()) {
            std::printf("%s: not on this machine\n", way.name);
            continue;
        }
        double worst = 0;
        for (auto [h, w] : {std::pair{1, 2}, {1, 3}, {2, 2}, {3, 5}, {4, 4}, {1, 17}, {7, 7}, {8, 8},
                            {9, 9}, {14, 14}, {16, 16}, {1, 257}, {17, 17}, {31, 33}, {56, 56},
                            {65, 63}, {100, 101}})
            for (double mean : {0.0, 10.0, 1000.0})
                for (int kind = 0; kind < 3; ++kind)
                    for (bool in_place : {false, true}) {
                        Case const given{2, 3, h, w, mean, kind > 0, kind > 1};
                        worst = std::max(worst, run(way, given, in_place));
                    }
        double const moved = std::max(typed(way, 49), typed(way, 5));
        std::printf("%s: worst %.2e, by float64 %.2e\n", way.name, worst, moved);
        failed |= !(worst < kBound) || moved != 0;
    }
    return failed;
}
