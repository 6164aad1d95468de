// SimAM's planes on the CPU against float64, in every way that this machine has: odd sizes, every
// epilogue and type, plane after plane and in blocks of channels, in place and not, in buffers that
// end where the tensor does, by two threads; and behind the first 2^31 elements of a tensor.
// Prints the worst error of each way; ends with 1 where one is above its bound.

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
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
    std::int64_t block = 0;  // 0: plane after plane

    std::int64_t hw() const { return h * w; }
    std::int64_t per_image() const { return (c + block - 1) / block; }
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

// Planes in blocks of channels, with `behind` in the lanes that no channel has.
std::vector<float> packed(Case const& given, std::vector<float> const& planes, float behind) {
    std::int64_t const block = given.block, count = given.n * given.per_image() * block;
    std::vector<float> blocks(static_cast<std::size_t>(count * given.hw()), behind);
    for (std::int64_t p = 0; p < given.n * given.c; ++p)
        for (std::int64_t i = 0; i < given.hw(); ++i) {
            std::int64_t const c = p % given.c, image = p / given.c * given.per_image();
            std::int64_t const at = ((image + c / block) * given.hw() + i) * block + c % block;
            blocks[static_cast<std::size_t>(at)] =
                planes[static_cast<std::size_t>(p * given.hw() + i)];
        }
    return blocks;
}

// Computes a job by two threads, of planes or of blocks.
void compute(Way const& way, Case const& given, Job const& job) {
    auto const part = [&](std::int64_t first, std::int64_t last) {
        if (given.block)
            way.blocks(job, given.block, first, last);
        else
            way.planes(job, first, last);
    };
    std::int64_t const parts = given.n * (given.block ? given.per_image() : given.c);
    std::thread other([&] { part(0, parts / 2); });
    part(parts / 2, parts);
    other.join();
}

double run(Way const& way, Case const& given, bool in_place) {
    std::mt19937 bits(7);
    std::normal_distribution<float> normal;
    auto const drawn = [&](std::int64_t count, double mean) {
        std::vector<float> values(static_cast<std::size_t>(count));
        for (float& value : values) value = normal(bits) + static_cast<float>(mean);
        return values;
    };
    std::int64_t const hw = given.hw(), planes = given.n * given.c;
    std::vector<float> const x = drawn(planes * hw, given.mean), scale = drawn(given.c, 0);
    std::vector<float> const bias = drawn(given.c, 0), residual = drawn(planes * hw, 0);
    Job job{x.data(), nullptr, given.affine ? scale.data() : nullptr,
            given.affine ? bias.data() : nullptr, given.residual ? residual.data() : nullptr,
            given.c, hw, kLambda, -1.0F, 6.0F};
    std::vector<double> const exact = wanted(given, x, job);
    std::vector<float> expected(exact.begin(), exact.end()), source = x, beside = residual;
    if (given.block) {
        // Whatever lies behind the channels, 0 comes out.
        source = packed(given, x, std::numeric_limits<float>::quiet_NaN());
        beside = packed(given, residual, 1.0F);
        expected = packed(given, expected, 0.0F);
    }
    std::vector<float> result(source.size());
    job.x = source.data();
    job.y = in_place ? source.data() : result.data();
    if (given.residual) job.residual = beside.data();
    compute(way, given, job);
    float worst = 0, largest = 1;
    for (float value : x) largest = std::max(largest, std::fabs(value));
    for (std::size_t i = 0; i < expected.size(); ++i) {
        float const off = std::fabs(job.y[i] - expected[i]);
        worst = off <= worst ? worst : off;  // a NaN stays
    }
    return static_cast<double>(worst / largest);
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

// Planes of one number of 16 bits, whose gate is sigmoid(1/2) = 0.62246: both results are rounded up.
bool rounds(Way const& way, Type type, std::uint16_t number, std::uint16_t gated) {
    std::vector<std::uint16_t> const x(2 * 49, number);
    std::vector<std::uint16_t> y(x.size());
    Job const job{nullptr, nullptr, nullptr, nullptr, nullptr, 2, 49, kLambda, 0, 0};
    typed_planes(way, {job, type, x.data(), y.data(), nullptr}, 0, 2);
    return std::all_of(y.begin(), y.end(), [&](std::uint16_t value) { return value == gated; });
}

// The last planes of a tensor of 2^31 elements and some more, of which only they are touched: as the
// first of it are computed.
bool far(Way const& way, std::int64_t block) {
    std::int64_t const hw = 49, part = hw * std::max<std::int64_t>(1, block);
    std::int64_t const parts = (std::int64_t{1} << 31) / part + 3;
    auto const bytes = static_cast<std::size_t>(parts * part) * sizeof(float);
    void* const room = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return false;
    float* const x = static_cast<float*>(room);
    Job const job{x, x, nullptr, nullptr, nullptr, std::max<std::int64_t>(1, block), hw, kLambda,
                  0, 0};
    std::int64_t const last = parts - 1;
    for (std::int64_t i = 0; i < part; ++i)
        x[i] = x[last * part + i] = static_cast<float>(i * i % 17);
    for (std::int64_t number : {std::int64_t{0}, last})
        block ? way.blocks(job, block, number, number + 1) : way.planes(job, number, number + 1);
    bool const same = std::equal(x, x + part, x + last * part) && x[1] != 1.0F;
    munmap(room, bytes);
    return same;
}

using Sizes = std::vector<std::pair<std::int64_t, std::int64_t>>;
// By how a vector's lanes, and how runs of 4096 pixels, divide them.
Sizes const kPlanes = {{1, 2}, {1, 3}, {2, 2}, {3, 5}, {4, 4}, {1, 17}, {7, 7}, {8, 8}, {9, 9},
                       {14, 14}, {16, 16}, {1, 257}, {17, 17}, {31, 33}, {56, 56}, {65, 63},
                       {100, 101}};
// By how four pixels, and runs of 256, divide them.
Sizes const kBlocks = {{1, 2}, {1, 3}, {2, 2}, {3, 5}, {7, 7}, {16, 16}, {1, 257}, {31, 33}};

// The worst error of a way over sizes, means, epilogues and in place and not.
double worst_of(Way const& way, std::int64_t channels, std::int64_t block) {
    double worst = 0;
    for (auto [h, w] : block ? kBlocks : kPlanes)
        for (double mean : {0.0, 10.0, 1000.0})
            for (int kind = 0; kind < 3; ++kind)
                for (bool in_place : {false, true}) {
                    double const off = run(
                        way, {2, channels, h, w, mean, kind > 0, kind > 1, block}, in_place);
                    worst = off <= worst ? worst : off;
                }
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
        double const worst = worst_of(way, 3, 0);
        double const eight = std::max(worst_of(way, 8, 8), worst_of(way, 11, 8));
        double const sixteen = std::max(worst_of(way, 3, 16), worst_of(way, 19, 16));
        bool const halves = rounds(way, Type::kHalf, 0x3c00, 0x38fb) &&
                            rounds(way, Type::kBfloat16, 0x3f81, 0x3f21);
        bool const reaches = far(way, 0) && far(way, 8) && far(way, 16);
        double const moved = std::max(typed(way, 49), typed(way, 5));
        std::printf("%s: worst %.2e, in blocks %.2e and %.2e, by float64 %.2e, far %d\n", way.name,
                    worst, eight, sixteen, moved, reaches);
        bool const exact = worst < kBound && eight < kBound && sixteen < kBound;
        failed |= !exact || moved != 0 || !reaches || !halves;
    }
    return failed;
}
