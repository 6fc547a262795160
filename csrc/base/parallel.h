// Threads. The only interface of the core to them, and `parallel.cpp` the only file that names OpenMP.
//
// A team of workers runs one function; between its parts it meets at barriers. Three backends, chosen when built
// (FASTNN_PARALLEL): our own workers (the default), OpenMP, none. Kernels never see any of this: they compute one task, and
// which worker runs a task must not change a bit of the result.
#pragma once

#include <cstdint>
#include <string>

#include "fastnn/runtime.h"

namespace fastnn {

constexpr int kMaxThreads = 256;

class Team {
 public:
  virtual int size() const = 0;
  virtual void barrier() = 0;  // returns when every worker of the team has come

 protected:
  ~Team() = default;
};

// Runs body(context, team, rank) on `threads` workers, rank 0 being the caller, and returns when all have ended. The body
// must not throw. A team may turn out smaller than asked (team.size() tells) when another team is at work.
using TeamBody = void (*)(void* context, Team& team, int rank);
void run_team(int threads, TeamBody body, void* context);

// The contiguous share of `tasks` that worker `rank` of `size` owns.
struct Range {
  int64_t begin, end;
};
inline Range share(int64_t tasks, int rank, int size) { return {tasks * rank / size, tasks * (rank + 1) / size}; }

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
