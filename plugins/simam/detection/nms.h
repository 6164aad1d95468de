// Greedy suppression within groups, exact, by three kernels:
//
//     NmsOrder     the rank of each box, by group, falling score and place: a count of those before
//     NmsOverlaps  for each box in that order, a bit for each later one of its group it overlaps
//     NmsSweep     each group in order, 64 boxes at a time, by what is kept of those before
//
// Sorted by group, groups are stretches of boxes that have nothing to do with each other, and are
// swept side by side: five levels of 1000 boxes take the time of 1000, not of 5000.
#pragma once

#include "../kernel/element.h"
#include "params.h"

namespace simam {

constexpr int32_t kNoGroup = INT32_MAX;  // Of what is no box: behind all groups.
constexpr int kWord = 64;                // Boxes to a word of overlaps.

SIMAM_SHARED constexpr int64_t wordsOf(int64_t boxes) { return (boxes + kWord - 1) / kWord; }

// Between the kernels: boxes in order, a batch entry behind the other.
struct NmsSpace {
    Vector<Float>* boxes;  // (batch, count)
    int32_t* groups;       // (batch, count)
    int32_t* places;       // (batch, count), where in the input each was
    uint64_t* overlaps;    // (batch, count, words); bit j of word w is box 64 * w + j. Where 64 x 64
                           // boxes have no group in common, nothing is written.
};

struct NmsArguments {
    NmsParams params;
    NmsSpace space;
    int32_t sweepers;  // Blocks to a batch entry in the last kernel.
};

struct NmsOrder {
    static constexpr int kMaxThreads = 256;
    static constexpr int kMinBlocks = 4;
    static constexpr int kLanes = 8;  // To a box.
    static constexpr int kBoxes = kMaxThreads / kLanes;
    static constexpr int kTile = 1024;

    struct Shared {
        uint64_t keys[kTile];
    };
    SIMAM_BODY static int32_t groupOf(NmsParams const& params, int64_t at) {
        int64_t const group = params.wideGroups ? static_cast<int64_t const*>(params.groups)[at]
                                                : static_cast<int32_t const*>(params.groups)[at];
        bool const isBox = params.scores[at] > kNothing;  // Not so of what is not a number.
        bool const isGroup = group >= 0 && group < params.groupCount;
        return isBox && isGroup ? static_cast<int32_t>(group) : kNoGroup;
    }

    // Rises by group, within a group with falling score; -0 and 0 are one score.
    template <class Thread>
    SIMAM_BODY static uint64_t keyOf(NmsParams const& params, int64_t at) {
        int32_t const group = groupOf(params, at);
        if (group == kNoGroup) return ~uint64_t{0};
        uint32_t const bits = Thread::bits(params.scores[at] == 0.f ? 0.f : params.scores[at]);
        uint32_t const rising = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
        return uint64_t{static_cast<uint32_t>(group)} << 32 | ~rising;
    }

    SIMAM_BODY static void place(NmsArguments const& arguments, int64_t from, int64_t i,
                                 int64_t rank) {
        NmsParams const& params = arguments.params;
        NmsSpace const& space = arguments.space;
        auto const* const boxes = reinterpret_cast<Vector<Float> const*>(params.boxes);
        space.boxes[from + rank] = boxes[from + i];
        space.groups[from + rank] = groupOf(params, from + i);
        space.places[from + rank] = static_cast<int32_t>(i);
        params.kept[from + i] = kNothing;
    }

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared,
                               NmsArguments const& arguments) {
        NmsParams const& params = arguments.params;
        auto const block = static_cast<uint32_t>(thread.cluster());
        auto const blocks = static_cast<uint32_t>((params.count + kBoxes - 1) / kBoxes);
        if (block / blocks >= params.batch) return;
        int64_t const from = block / blocks * params.count;
        int64_t const i = block % blocks * kBoxes + thread.index() / kLanes;
        bool const own = i < params.count;
        uint64_t const key = own ? keyOf<Thread>(params, from + i) : 0;
        int32_t before = 0;
#pragma unroll 1
        for (int64_t first = 0; first < params.count; first += kTile) {
            auto const held = static_cast<int32_t>(
                params.count - first < kTile ? params.count - first : kTile);
            thread.barrier();
#pragma unroll 1
            for (int32_t k = thread.index(); k < held; k += thread.blockSize()) {
                shared.keys[k] = keyOf<Thread>(params, from + first + k);
            }
            thread.barrier();
            for (int32_t k = thread.index() % kLanes; k < held; k += kLanes) {
                uint64_t const other = shared.keys[k];
                before += other < key || (other == key && first + k < i) ? 1 : 0;
            }
        }
        auto rank = static_cast<float>(before);  // kMostBoxes is far below 2^24.
        for (int mask = 1; mask < kLanes; mask *= 2) rank += thread.shuffleXor(rank, mask);
        if (own && thread.index() % kLanes == 0) {
            place(arguments, from, i, static_cast<int64_t>(rank));
        }
    }
};

struct NmsOverlaps {
    static constexpr int kMaxThreads = kWord;
    static constexpr int kMinBlocks = 16;

    struct Shared {
        float boxes[kWord][4];
        int32_t groups[kWord];
    };

    // Of float32, each operation rounded by itself. Without an area in common nothing overlaps.
    template <class Thread>
    SIMAM_BODY static bool overlap(float const (&a)[4], float const (&b)[4], float threshold) {
        float const width = (a[2] < b[2] ? a[2] : b[2]) - (a[0] > b[0] ? a[0] : b[0]);
        float const height = (a[3] < b[3] ? a[3] : b[3]) - (a[1] > b[1] ? a[1] : b[1]);
        if (!(width > 0.f && height > 0.f)) return false;
        float const common = Thread::product(width, height);
        float const all = Thread::product(a[2] - a[0], a[3] - a[1]) +
                          Thread::product(b[2] - b[0], b[3] - b[1]) - common;
        return Thread::quotient(common, all) > threshold;
    }

    // Bits of other groups are never asked for: to look at the groups saves the arithmetic.
    template <class Thread>
    SIMAM_BODY static uint64_t wordOf(NmsArguments const& arguments, Shared const& shared,
                                      float const (&box)[4], int32_t group, int64_t later) {
        uint64_t word = 0;
        for (int64_t k = later > 0 ? later : 0; k < kWord; ++k) {
            if (shared.groups[k] == group &&
                overlap<Thread>(box, shared.boxes[k], arguments.params.threshold)) {
                word |= uint64_t{1} << k;
            }
        }
        return word;
    }

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared,
                               NmsArguments const& arguments) {
        NmsSpace const& space = arguments.space;
        int64_t const count = arguments.params.count;
        auto const block = static_cast<uint32_t>(thread.cluster());
        auto const words = static_cast<uint32_t>(wordsOf(count));
        int64_t const entry = block / (words * words);
        if (entry >= arguments.params.batch) return;
        int64_t const from = entry * count;
        int64_t const row = block / words % words * kWord;
        int64_t const column = block % words * kWord;
        int64_t const lastRow = (row + kWord < count ? row + kWord : count) - 1;
        int32_t const least = space.groups[from + column];
        bool const common = least != kNoGroup && least <= space.groups[from + lastRow];
        if (column < row || !common) return;
        int64_t const other = column + thread.index();
        shared.groups[thread.index()] = other < count ? space.groups[from + other] : kNoGroup;
        if (other < count) unpack<Thread>(space.boxes[from + other], shared.boxes[thread.index()]);
        thread.barrier();
        int64_t const i = row + thread.index();
        if (i >= count || space.groups[from + i] == kNoGroup) return;
        float box[4];
        unpack<Thread>(space.boxes[from + i], box);
        space.overlaps[(from + i) * words + column / kWord] = wordOf<Thread>(
            arguments, shared, box, space.groups[from + i], i + 1 - column);
    }
};

struct NmsSweep {
    static constexpr int kMaxThreads = 256;
    static constexpr int kMinBlocks = 2;
    static constexpr int kParts = kMaxThreads / kWord;  // Threads to a word, 16 rows each.
    static constexpr int kRows = kWord / kParts;

    struct Shared {
        uint64_t removed[kParts][kMostBoxes / kWord];
        uint64_t inside[kWord];  // What the 64 boxes at hand overlap among each other.
        uint64_t kept;           // Of them.
    };

    // Boxes [first, last) of the batch entry that begins at box `from`: one group.
    struct Stretch {
        int64_t from;
        int64_t first;
        int64_t last;
    };

    // The first box in order whose group is `group` or one behind it.
    SIMAM_BODY static int64_t find(NmsArguments const& arguments, int64_t from, int64_t group) {
        int64_t low = 0;
        int64_t high = arguments.params.count;
#pragma unroll 1
        while (low < high) {
            int64_t const middle = (low + high) / 2;
            if (arguments.space.groups[from + middle] < group) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    // One thread's: keeps what no kept box before it overlaps.
    template <class Thread>
    SIMAM_BODY static void keep(Shared& shared, int64_t word, Stretch const& stretch) {
        uint64_t left = 0;
#pragma unroll 1
        for (int k = 0; k < kWord; ++k) {
            int64_t const i = word * kWord + k;
            if (i >= stretch.first && i < stretch.last) left |= uint64_t{1} << k;
        }
        for (int part = 0; part < kParts; ++part) left &= ~shared.removed[part][word];
        uint64_t kept = 0;
        while (left != 0) {
            int const k = Thread::lowestBit(left);
            kept |= uint64_t{1} << k;
            left &= ~(shared.inside[k] | uint64_t{1} << k);
        }
        shared.kept = kept;
    }

    // Removes from the words behind what the boxes kept of this one overlap.
    SIMAM_BODY static void remove(NmsArguments const& arguments, Shared& shared, int index,
                                  int64_t word, Stretch const& stretch) {
        int64_t const words = wordsOf(arguments.params.count);
        int const part = index / kWord;
        uint64_t const kept = shared.kept >> (part * kRows);
        uint64_t const* const rows = arguments.space.overlaps +
                                     (stretch.from + word * kWord + part * kRows) * words;
        int64_t const lastWord = (stretch.last - 1) / kWord;
        for (int64_t w = word + 1 + index % kWord; w <= lastWord; w += kWord) {
            uint64_t bits = 0;
#pragma unroll
            for (int k = 0; k < kRows; ++k) {
                if ((kept >> k & 1) != 0) bits |= rows[k * words + w];
            }
            shared.removed[part][w] |= bits;
        }
    }

    // A stretch before ended behind a barrier, and wrote nothing shared after it.
    template <class Thread>
    SIMAM_BODY static void sweep(Thread const& thread, Shared& shared,
                                 NmsArguments const& arguments, Stretch const& stretch) {
        NmsParams const& params = arguments.params;
        int64_t const words = wordsOf(params.count);
        int64_t const lastWord = (stretch.last - 1) / kWord;
        int const index = thread.index();
        for (int64_t w = stretch.first / kWord + index % kWord; w <= lastWord; w += kWord) {
            shared.removed[index / kWord][w] = 0;
        }
        for (int64_t word = stretch.first / kWord; word <= lastWord; ++word) {
            int64_t const i = word * kWord + index;
            bool const own = index < kWord && i >= stretch.first && i < stretch.last;
            if (own) {
                shared.inside[index] = arguments.space.overlaps[(stretch.from + i) * words + word];
            }
            thread.barrier();
            if (index == 0) keep<Thread>(shared, word, stretch);
            thread.barrier();
            if (own && (shared.kept >> index & 1) != 0) {
                int64_t const at = stretch.from + arguments.space.places[stretch.from + i];
                params.kept[at] = params.scores[at];
            }
            remove(arguments, shared, index, word, stretch);
        }
    }

    // Groups are dealt to the blocks by turns; those without a box are passed over.
    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared,
                               NmsArguments const& arguments) {
        NmsParams const& params = arguments.params;
        auto const block = static_cast<uint32_t>(thread.cluster());
        auto const sweepers = static_cast<uint32_t>(arguments.sweepers);
        int64_t const entry = block / sweepers;
        if (entry >= params.batch) return;
        int64_t const from = entry * params.count;
        auto group = static_cast<uint32_t>(block % sweepers);
        while (group < params.groupCount) {
            int64_t const first = find(arguments, from, group);
            if (first == params.count) return;
            auto const found = static_cast<uint32_t>(arguments.space.groups[from + first]);
            if (found == group) {
                sweep(thread, shared, arguments, {from, first, find(arguments, from, found + 1)});
            }
            uint32_t const turns = (found - group + sweepers - 1) / sweepers;
            group += (turns > 0 ? turns : 1) * sweepers;  // kNoGroup and 256 are below 2^32.
        }
    }
};

}  // namespace simam
