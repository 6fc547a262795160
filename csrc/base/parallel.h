// Threads. The only interface of the core to them, and `parallel.cpp` the only file that names OpenMP.
//
// A team of workers does the tasks of one step after another. Three backends, chosen when built (FASTNN_PARALLEL): our own
// workers (the default), OpenMP, none. Kernels never see any of this: they compute one task, and which worker runs a task must
// not change a bit of the result.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "fastnn/runtime.h"

namespace fastnn {

constexpr int kMaxThreads = 256;

class Workers;

// The caller and up to `threads` - 1 workers beside it, while it lives; fewer where the process has fewer CPUs, because more
// would only be in each other's way, or where the system grants no more threads.
class Team {
 public:
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  int size() const { return size_; }

  // Runs task(context, worker, i) for every i of [first, first + tasks) of every part, each on whichever worker of [0, size) takes
  // it, and returns when all have ended; the caller is worker 0. A task must not throw.
  using Task = void (*)(void* context, int worker, int64_t i);
  struct Part {
    int64_t tasks;
    Task task;
    void* context;
    int64_t first = 0;
  };
  void run(std::span<const Part> parts);

 private:
  int size_;
  Workers* workers_ = nullptr;
};

// The contiguous share of `tasks` that worker `rank` of `size` owns.
struct Range {
  int64_t begin, end;
};
inline Range share(int64_t tasks, int rank, int size) { return {tasks * rank / size, tasks * (rank + 1) / size}; }

void set_more_threads_than_cpus(bool allowed);  // for tests: teams as large as was asked

std::string num_threads_reason();  // why num_threads() is what it is, for people
std::string parallel_backend();    // "openmp", "threads" or "serial"

// A run's part of the budget: max(1, budget / active runs). Holds its place while it lives.
class ThreadBudget {
 public:
  ThreadBudget();
  ~ThreadBudget();
  ThreadBudget(const ThreadBudget&) = delete;
  ThreadBudget& operator=(const ThreadBudget&) = delete;
  int threads() const { return threads_; }

 private:
  int threads_;
};

// While one lives no thread can fork; a fork waits until all have gone, and new ones wait for the fork. A child has only the thread
// that forked, so that a lock that another one held would stay locked in it, and what another one was writing half written.
// Whoever locks or writes what outlives a run does it inside one. They do not nest.
class NoFork {
 public:
  NoFork();
  ~NoFork();
  NoFork(const NoFork&) = delete;
  NoFork& operator=(const NoFork&) = delete;
};

// Flushes denormals to zero in this thread while it lives, and restores the mode found. A denormal operand costs an x86 core
// about a hundred cycles, and dying activations and Adam's second moments are full of them.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace fastnn
