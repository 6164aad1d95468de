// The honest engine: each CUDA thread of the grid is a std::thread, for ThreadSanitizer.
#pragma once

#include <pthread.h>

#include <functional>
#include <thread>
#include <vector>

namespace simam {

class Threads {
public:
    static constexpr int kGroup = 1 << 20;  // All clusters at once: blocks race with each other too.

    class Barrier {
    public:
        explicit Barrier(int count) {
            pthread_barrier_init(&barrier_, nullptr, static_cast<unsigned>(count));
        }
        Barrier(Barrier const&) = delete;
        Barrier& operator=(Barrier const&) = delete;
        ~Barrier() { pthread_barrier_destroy(&barrier_); }
        void wait() { pthread_barrier_wait(&barrier_); }

    private:
        pthread_barrier_t barrier_;
    };

    static void run(int count, std::function<void(int)> const& body) {
        std::vector<std::thread> threads;
        for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
        for (auto& thread : threads) thread.join();
    }
};

}  // namespace simam
