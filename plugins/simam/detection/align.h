// RoIAlign of RoIs each on its map of a pyramid: a block a RoI, or a RoI's share of the channels.
//
// A bin is the mean of samples on a grid, and bilinear interpolation is a product of one weight a
// row and one a column: the mean over the grid is sum_r a_r sum_c b_c x[r, c], with a_r what all
// samples of the bin weigh row r by, and b_c column c. Three samples each way read 4 x 4 pixels so,
// where one by one they read 36. Weights are laid out once for all channels, in rounds of so many
// samples a bin as the table holds: 73 at 7 bins, 36 at 14. More than that has no bin of a RoI that
// lies on its image, unless the image is over 2000 pixels wide.
#pragma once

#include "taps.h"

namespace simam {

constexpr int32_t kTaps = 1024;  // Of each axis: pixels that its bins read in one round.
constexpr float kMostSamples = 1 << 23;   // A bin, each way. Of more nothing is read: such a RoI is
                                          // 234 million pixels wide or high.
constexpr int kAlignThreads = 256;

struct AlignArguments {
    AlignParams params;
    int32_t slabs;  // Blocks to a RoI.
};

// Which map a RoI is read from, and how. What all threads share is kept out of their registers.
struct AlignSource {
    void const* map;  // Of the RoI's image.
    int64_t channelStride;
    Axis axes[2];  // y and x.
    bool reads;    // Anything at all.
};

struct AlignShared {
    AlignSource source;
    Inside inside[2][kMostBins];
    int32_t count[2][kMostBins];
    Tap taps[2][kTaps];  // Rows and columns; to each bin a stretch of them.
};

// floor(log2(s)) is 1 from 2 on, 2 from 4 and 3 from 8: no logarithm to be rounded.
template <class Thread>
SIMAM_BODY int32_t levelOf(float width, float height, float finest) {
    float const side = Thread::squareRoot(Thread::product(width, height));
    float const s = Thread::quotient(side, finest) + 1e-6f;
    return (s >= 2.f ? 1 : 0) + (s >= 4.f ? 1 : 0) + (s >= 8.f ? 1 : 0);
}

// Neither where it has none nor where a side is not a number.
SIMAM_BODY bool areCounts(float rows, float columns) {
    return rows >= 1.f && columns >= 1.f && rows <= kMostSamples && columns <= kMostSamples;
}

template <class Thread, class Storage>
SIMAM_BODY void findSource(AlignParams const& params, int64_t roi, AlignSource& source) {
    float const* const box = params.rois + 4 * roi;
    float const width = box[2] - box[0];
    float const height = box[3] - box[1];
    bool const hasArea = width > 0.f && height > 0.f;
    int32_t const level = hasArea ? levelOf<Thread>(width, height, params.finest) : 0;
    float const scale = 0.25f / static_cast<float>(1 << level);
    Level const& from = params.levels[level];
    bool const planes = params.from == Layout::kNCHW;
    int64_t const area = from.height * from.width;
    int64_t const image = (planes ? params.c : params.pitch) * area;
    Axis y = axisOf<Thread>(params, box[1], box[3], scale);
    Axis x = axisOf<Thread>(params, box[0], box[2], scale);
    y.pixels = static_cast<int32_t>(from.height);
    x.pixels = static_cast<int32_t>(from.width);
    x.stride = static_cast<int32_t>(planes ? 1 : params.pitch);
    y.stride = x.pixels * x.stride;
    auto const rois = static_cast<uint32_t>(params.r);
    source.map = static_cast<Storage const*>(from.x) + static_cast<uint32_t>(roi) / rois * image;
    source.channelStride = planes ? area : 1;
    source.axes[0] = y;
    source.axes[1] = x;
    source.reads = hasArea && areCounts(y.samples, x.samples);
}

// Channels are read by the unit: 16 bytes of them in NHWC, where pixels allow it.
template <class Unit>
struct AlignBody {
    using E = typename Unit::Element;
    using Storage = typename E::Storage;
    using Shared = AlignShared;
    static constexpr int kWidth = Unit::kWidth;
    static constexpr int kMaxThreads = kAlignThreads;
    static constexpr int kMinBlocks = kWidth == 1 ? 4 : 3;  // Sums of a vector and a row spill at 4.
    static constexpr int kReads = 2;  // In flight; more of them spill on 12.0.

    AlignParams const& params;
    Shared& shared;
    int64_t roi;    // Of all images.
    int32_t units;  // Of channels, which the block fills.
    int32_t first;  // Of them.

    SIMAM_BODY int32_t held() const { return kTaps / 2 / params.bins; }  // Samples a bin and round.

    template <class Thread>
    SIMAM_BODY void findInside(Thread const& thread) const {
#pragma unroll 1
        for (int32_t i = thread.index(); i < 2 * params.bins; i += thread.blockSize()) {
            int32_t const axis = i / params.bins;
            int32_t const bin = i % params.bins;
            shared.inside[axis][bin] = insideOf<Thread>(shared.source.axes[axis], bin);
        }
        thread.barrier();
    }

    // Rounds along an axis: as many as its fullest bin wants.
    SIMAM_BODY int32_t roundsOf(int32_t axis) const {
        int32_t most = 0;
#pragma unroll 1
        for (int32_t bin = 0; bin < params.bins; ++bin) {
            Inside const inside = shared.inside[axis][bin];
            if (inside.last - inside.first > most) most = inside.last - inside.first;
        }
        return (most + held() - 1) / held();
    }

    template <class Thread>
    SIMAM_BODY void layRound(Thread const& thread, int32_t rowRound, int32_t columnRound) const {
        thread.barrier();
#pragma unroll 1
        for (int32_t i = thread.index(); i < 2 * params.bins; i += thread.blockSize()) {
            int32_t const axis = i / params.bins;
            int32_t const bin = i % params.bins;
            Inside const inside = shared.inside[axis][bin];
            int32_t const from = inside.first + (axis == 0 ? rowRound : columnRound) * held();
            int32_t const to = from + held() < inside.last ? from + held() : inside.last;
            shared.count[axis][bin] = layTaps<Thread>(shared.source.axes[axis], bin, from, to,
                                                      shared.taps[axis] + bin * 2 * held());
        }
        thread.barrier();
    }

    // One unit of one bin of y.
    struct Place {
        int32_t channel;
        int32_t row;
        int32_t column;
    };

    // Units that neighbouring threads have of one bin. In NCHW they have neighbouring bins, whose
    // columns lie side by side; in NHWC all of a pixel's units; from NHWC to NCHW four, which are
    // 64 bytes of a pixel, and eight bins, which are 16 bytes of y and more.
    SIMAM_BODY int32_t together() const {
        if (params.from == Layout::kNCHW) return 1;
        return params.to == Layout::kNCHW && units > 4 ? 4 : units;
    }

    SIMAM_BODY Place placeOf(int32_t index) const {
        int32_t const lanes = together();
        int32_t const area = params.bins * params.bins;
        int32_t const bin = index / lanes % area;
        int32_t const unit = index / (lanes * area) * lanes + index % lanes;
        return {(first + unit) * kWidth, bin / params.bins, bin % params.bins};
    }

    template <class Thread>
    SIMAM_BODY void gather(Place const& place, float (&sums)[kWidth]) const {
        Tap const* const rows = shared.taps[0] + place.row * 2 * held();
        Tap const* const columns = shared.taps[1] + place.column * 2 * held();
        int32_t const rowCount = shared.count[0][place.row];
        int32_t const columnCount = shared.count[1][place.column];
        auto const* const plane = static_cast<Storage const*>(shared.source.map) +
                                  place.channel * shared.source.channelStride;
#pragma unroll 1
        for (int32_t r = 0; r < rowCount; ++r) {
            auto const* const row = plane + rows[r].offset;
            float line[kWidth] = {};
#pragma unroll kReads
            for (int32_t c = 0; c < columnCount; ++c) {
                Unit unit;
                float values[kWidth];
                Thread::fetch(row + columns[c].offset, unit);
                unpack<Thread>(unit, values);
#pragma unroll
                for (int i = 0; i < kWidth; ++i) {
                    line[i] = Thread::fma(values[i], columns[c].weight, line[i]);
                }
            }
#pragma unroll
            for (int i = 0; i < kWidth; ++i) sums[i] = Thread::fma(line[i], rows[r].weight, sums[i]);
        }
    }

    // Lanes beyond the channels are zero, whatever the maps hold there.
    template <class Thread>
    SIMAM_BODY void store(Place const& place, float (&sums)[kWidth], float share) const {
        auto* const y = static_cast<Storage*>(params.y);
        int32_t const bin = place.row * params.bins + place.column;
        int64_t const area = params.bins * params.bins;
        bool const planes = params.to == Layout::kNCHW;
#pragma unroll
        for (int i = 0; i < kWidth; ++i) {
            int64_t const channel = place.channel + i;
            sums[i] = channel < params.c ? Thread::product(sums[i], share) : 0.f;
            if (planes && channel < params.c) {
                y[(roi * params.c + channel) * area + bin] = Thread::fromFloat(E{}, sums[i]);
            }
        }
        if (planes) return;
        Unit unit;
        pack<Thread>(sums, unit);
        Thread::write(y + (roi * area + bin) * params.pitch + place.channel, unit);
    }

    // All threads take part in every round.
    template <class Thread>
    SIMAM_BODY void fill(Thread const& thread) const {
        AlignSource const& source = shared.source;
        if (source.reads) findInside(thread);
        int32_t const rows = source.reads ? roundsOf(0) : 0;
        int32_t const columns = source.reads ? roundsOf(1) : 0;
        bool const once = rows == 1 && columns == 1;
        float const samples = Thread::product(source.axes[0].samples, source.axes[1].samples);
        float const share = source.reads ? Thread::quotient(1.f, samples) : 0.f;  // Of one.
        int32_t const lanes = together();
        int32_t const rounded = lanes > 0 ? (units + lanes - 1) / lanes * lanes : 0;
        int32_t const outputs = rounded * params.bins * params.bins;
        int32_t const beyond = (first + units) * kWidth;
#pragma unroll 1
        for (int32_t from = 0; from < outputs; from += thread.blockSize()) {
            int32_t const index = from + thread.index();
            Place const place = placeOf(index);
            bool const own = index < outputs && place.channel < beyond;
            float sums[kWidth] = {};
#pragma unroll 1
            for (int32_t row = 0; row < rows; ++row) {
#pragma unroll 1
                for (int32_t column = 0; column < columns; ++column) {
                    if (from == 0 || !once) layRound(thread, row, column);
                    if (own) gather<Thread>(place, sums);
                }
            }
            if (own) store<Thread>(place, sums, share);
        }
    }

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared,
                               AlignArguments const& arguments) {
        AlignParams const& params = arguments.params;
        auto const block = static_cast<uint32_t>(thread.cluster());  // 64 bits divide slowly.
        auto const slabs = static_cast<uint32_t>(arguments.slabs);
        int64_t const roi = block / slabs;
        if (roi >= params.n * params.r) return;
        int64_t const lanes = params.to == Layout::kNCHW ? params.c : params.pitch;
        auto const units = static_cast<uint32_t>((lanes + kWidth - 1) / kWidth);
        uint32_t const each = (units + slabs - 1) / slabs;
        uint32_t const first = block % slabs * each < units ? block % slabs * each : units;
        uint32_t const last = first + each < units ? first + each : units;
        if (thread.index() == 0) findSource<Thread, Storage>(params, roi, shared.source);
        thread.barrier();
        AlignBody{params, shared, roi, static_cast<int32_t>(last - first),
                  static_cast<int32_t>(first)}
            .fill(thread);
    }
};

}  // namespace simam
