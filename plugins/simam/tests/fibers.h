// The quick engine: each CUDA thread is a fiber of one host thread, and a barrier is a turn.
#pragma once

#include <ucontext.h>

#include <functional>
#include <vector>

namespace simam {

class Fibers {
public:
    static constexpr int kGroup = 1;  // Clusters that run side by side.

    class Barrier {
    public:
        explicit Barrier(int count) : count_(count) {}
        void wait() {
            int const generation = generation_;
            if (++arrived_ == count_) {
                arrived_ = 0;
                ++generation_;
            }
            while (generation == generation_) Fibers::yield();
        }

    private:
        int count_;
        int arrived_ = 0;
        int generation_ = 0;
    };

    // Runs body(0) to body(count - 1), in turns, until all have returned.
    static void run(int count, std::function<void(int)> const& body) {
        body_ = &body;
        stacks_.resize(static_cast<size_t>(count) * kStack);
        contexts_.assign(static_cast<size_t>(count), {});
        done_.assign(static_cast<size_t>(count), 0);
        for (int i = 0; i < count; ++i) start(i);
        int left = count;
        while (left > 0) {
            left = 0;
            for (current_ = 0; current_ < count; ++current_) {
                if (done_[static_cast<size_t>(current_)]) continue;
                swapcontext(&home_, &contexts_[static_cast<size_t>(current_)]);
                ++left;
            }
        }
    }

private:
    static constexpr size_t kStack = 32 * 1024;

    static void start(int i) {
        ucontext_t& context = contexts_[static_cast<size_t>(i)];
        getcontext(&context);
        context.uc_stack.ss_sp = &stacks_[static_cast<size_t>(i) * kStack];
        context.uc_stack.ss_size = kStack;
        context.uc_link = &home_;
        makecontext(&context, reinterpret_cast<void (*)()>(enter), 0);
    }
    static void enter() {
        int const own = current_;
        (*body_)(own);
        done_[static_cast<size_t>(own)] = 1;
    }
    static void yield() { swapcontext(&contexts_[static_cast<size_t>(current_)], &home_); }

    static inline std::function<void(int)> const* body_ = nullptr;
    static inline std::vector<char> stacks_;
    static inline std::vector<ucontext_t> contexts_;
    static inline std::vector<char> done_;
    static inline ucontext_t home_;
    static inline int current_ = 0;
};

}  // namespace simam
