#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#include <pthread.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(FASTNN_PARALLEL_OPENMP)
#include <omp.h>
#endif

#include "base/errors.h"

namespace fastnn {

namespace {

std::atomic<bool> forked{false};  // is this process a child of one that had loaded the library?

// ---- How many -------------------------------------------------------------------------------------------------------------

// The container's CPU quota in whole CPUs, rounded up; 0 without one. cgroup v2, then v1.
int container_quota() {
  double quota = 0, period = 0;
  std::string word;
  if (std::ifstream file("/sys/fs/cgroup/cpu.max"); file >> word >> period && word != "max") {
    quota = std::atof(word.c_str());
  } else {
    std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(v1_quota >> quota && v1_period >> period)) return 0;
  }
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>((quota + period - 1) / period)) : 0;
}

struct Budget {
  std::atomic<int> threads{1};
  std::string reason;
  std::mutex mutex;  // guards reason

  Budget() {
    int cpus = static_cast<int>(std::thread::hardware_concurrency());
    std::string why = "the machine's CPUs";
#if defined(__linux__)
    if (cpu_set_t set; sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
      cpus = CPU_COUNT(&set);
      why = "the CPUs this process may run on";
    }
#endif
    if (const int quota = container_quota(); quota > 0 && quota < cpus) {
      cpus = quota;
      why = "the container's CPU quota";
    }
    cpus = std::clamp(cpus, 1, kMaxThreads);
    if (const char* text = std::getenv("FASTNN_NUM_THREADS")) {
      char* end = nullptr;
      const long asked = std::strtol(text, &end, 10);
      if (end != text && *end == '\0' && asked >= 1 && asked <= kMaxThreads) {
        cpus = static_cast<int>(asked);
        why = "FASTNN_NUM_THREADS";
      }  // a bad value: the Python package warns at import, and the default stands
    }
    threads = cpus;
    reason = why;
  }
};

Budget& budget() {
  static Budget instance;
  return instance;
}

std::atomic<int> active_runs{0};

// ---- Workers of our own ---------------------------------------------------------------------------------------------------

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `word` differs from `old`: spins briefly, then sleeps in the kernel. A wake-up costs 17 to 35 microseconds,
// a barrier between steps is over in less than one, and a worker that span for long would burn the host's CPU between runs.
void wait_for_change(const std::atomic<uint32_t>& word, uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

int spin_limit(int team) {
  // With more workers than CPUs the one we wait for may need our CPU: sleep at once.
  static const int cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return team <= cpus ? 4000 : 1;
}

class WorkerTeam final : public Team {
 public:
  int size() const override { return size_; }
  void barrier() override {
    if (size_ == 1) return;
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      phase_.notify_all();
    } else {
      wait_for_change(phase_, phase, spin_limit(size_));
    }
  }
  void reset(int size) { size_ = size; }

 private:
  int size_ = 1;
  std::atomic<int> arrived_{0};
  std::atomic<uint32_t> phase_{0};
};

// Threads that live as long as the process and sleep between runs. It serves one run at a time.
class WorkerPool {
 public:
  void run(int threads, TeamBody body, void* context) {
    try {
      for (; workers_ < threads - 1; ++workers_) {
        std::thread([this, rank = workers_ + 1, seen = job_.load()] { work(rank, seen); }).detach();
      }
    } catch (const std::system_error&) {
      threads = workers_ + 1;  // the system grants no more threads: a smaller team gives the same bits
    }
    team_.reset(threads);
    body_ = body;
    context_ = context;
    running_.store(threads - 1, std::memory_order_relaxed);
    const uint32_t generation = (job_.load(std::memory_order_relaxed) >> kSizeBits) + 1;
    job_.store(generation << kSizeBits | static_cast<uint32_t>(threads), std::memory_order_release);
    job_.notify_all();
    body(context, team_, 0);
    for (int spins = 0; running_.load(std::memory_order_acquire) != 0;) {
      if (++spins < spin_limit(threads)) {
        pause();
      } else if (const int left = running_.load(std::memory_order_acquire); left != 0) {
        running_.wait(left, std::memory_order_acquire);
      }
    }
  }

 private:
  static constexpr int kSizeBits = 9;  // kMaxThreads fits

  void work(int rank, uint32_t seen) {
    while (true) {
      wait_for_change(job_, seen, 4000);
      seen = job_.load(std::memory_order_acquire);
      // Generation and team size share one word, so a worker that wakes up late knows without looking at anything else
      // whether the job it sees is its own; only then does the caller wait for it and leave the fields below alone.
      if (rank >= static_cast<int>(seen & ((1u << kSizeBits) - 1))) continue;
      body_(context_, team_, rank);
      if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
    }
  }

  int workers_ = 0;
  WorkerTeam team_;
  TeamBody body_ = nullptr;
  void* context_ = nullptr;
  std::atomic<int> running_{0};
  std::atomic<uint32_t> job_{0};  // generation << kSizeBits | team size
};

// The pools that serve nobody now; concurrent runs have one each. Never destroyed, because workers may be asleep in a pool when
// the process ends. A forked child has none of its parent's threads, so it gets a new list.
struct IdlePools {
  std::mutex mutex;
  std::vector<WorkerPool*> pools;

  WorkerPool* take() {
    std::lock_guard lock(mutex);
    if (pools.empty()) return new WorkerPool;
    WorkerPool* pool = pools.back();
    pools.pop_back();
    return pool;
  }
  void give_back(WorkerPool* pool) {
    std::lock_guard lock(mutex);
    pools.push_back(pool);
  }
};
std::atomic<IdlePools*> idle_pools{new IdlePools};

void run_on_workers(int threads, TeamBody body, void* context) {
  if (threads == 1) {
    WorkerTeam alone;
    body(context, alone, 0);
    return;
  }
  IdlePools& idle = *idle_pools.load();
  WorkerPool* pool = idle.take();
  pool->run(threads, body, context);
  idle.give_back(pool);
}

#if defined(FASTNN_PARALLEL_OPENMP)
class OpenMPTeam final : public Team {
 public:
  int size() const override { return omp_get_num_threads(); }
  void barrier() override {
#pragma omp barrier
  }
};
#endif

}  // namespace

void run_team(int threads, TeamBody body, void* context) {
  threads = std::clamp(threads, 1, kMaxThreads);
#if defined(FASTNN_PARALLEL_SERIAL)
  threads = 1;
#endif
#if defined(FASTNN_PARALLEL_OPENMP)
  // libgomp hangs in a forked child once the parent has run a parallel region: there our own workers take over.
  if (threads > 1 && !forked) {
    OpenMPTeam team;
#pragma omp parallel num_threads(threads)
    body(context, team, omp_get_thread_num());
    return;
  }
#endif
  run_on_workers(threads, body, context);
}

// ---- Forks ----------------------------------------------------------------------------------------------------------------

namespace {

struct Gate {
  std::mutex mutex;  // guards the two below
  std::condition_variable changed;
  int inside = 0;
  bool forking = false;
};
std::atomic<Gate*> gate{new Gate};

void before_fork() {
  Gate& g = *gate.load();
  std::unique_lock lock(g.mutex);
  g.changed.wait(lock, [&] { return !g.forking; });  // another thread's turn
  g.forking = true;
  g.changed.wait(lock, [&] { return g.inside == 0; });
}

void after_fork_in_parent() {
  Gate& g = *gate.load();
  std::unique_lock lock(g.mutex);
  g.forking = false;
  g.changed.notify_all();
}

// What threads that do not exist here may have locked is replaced and left alone.
void after_fork_in_child() {
  forked = true;
  gate = new Gate;
  idle_pools = new IdlePools;
  active_runs = 0;
}

// Registered when the library is loaded and not at the first run: by then the process may have forked already.
const int fork_handlers = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

}  // namespace

NoFork::NoFork() {
  Gate& g = *gate.load();
  std::unique_lock lock(g.mutex);
  g.changed.wait(lock, [&] { return !g.forking; });
  ++g.inside;
}

NoFork::~NoFork() {
  Gate& g = *gate.load();
  std::unique_lock lock(g.mutex);
  if (--g.inside == 0) g.changed.notify_all();
}

int num_threads() { return budget().threads; }

void set_num_threads(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw ValueError(
        concat("set_num_threads: ", threads, " threads; expected 1 to ", kMaxThreads, "; pass the number of CPUs to use"));
  }
  std::lock_guard lock(budget().mutex);
  budget().threads = threads;
  budget().reason = "set_num_threads";
}

std::string num_threads_reason() {
  std::lock_guard lock(budget().mutex);
  return budget().reason;
}

std::string parallel_backend() {
#if defined(FASTNN_PARALLEL_OPENMP)
  return forked ? "threads" : "openmp";
#elif defined(FASTNN_PARALLEL_SERIAL)
  return "serial";
#else
  return "threads";
#endif
}

ThreadBudget::ThreadBudget() : threads_(std::max(1, num_threads() / (active_runs.fetch_add(1) + 1))) {}
ThreadBudget::~ThreadBudget() { active_runs.fetch_sub(1); }

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) {
  _mm_setcsr(static_cast<uint32_t>(saved_) | 0x8040);  // flush to zero, denormals are zero
}
FlushDenormals::~FlushDenormals() { _mm_setcsr(static_cast<uint32_t>(saved_)); }
#elif defined(__aarch64__)
FlushDenormals::FlushDenormals() {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" : : "r"(saved_ | (uint64_t{1} << 24)));
}
FlushDenormals::~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() = default;
#endif

}  // namespace fastnn
