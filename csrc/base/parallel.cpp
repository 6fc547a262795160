#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <memory>
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
#include "base/memory.h"

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
  std::atomic<int> most{1};  // CPUs of this process
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
    most = cpus;
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

constexpr int kSpins = 4000;

// Of the tasks of a part, those that nobody has begun. Each worker has a share of its own of every part, the same each time, because
// neighbouring tasks of successive parts touch the same samples, which lie in its cache. A worker that is done takes from the end
// of another's, where that one will come last.
struct alignas(kAlignment) Share {
  std::atomic<uint64_t> word{0};  // begin and end, 32 bits each

  void fill(Range range) { word.store(pack(range), std::memory_order_relaxed); }
  int64_t take(bool last) {
    uint64_t old = word.load(std::memory_order_relaxed);
    while (true) {
      Range left{static_cast<int64_t>(old >> 32), static_cast<int64_t>(old & 0xffffffff)};
      if (left.begin >= left.end) return -1;
      const int64_t task = last ? --left.end : left.begin++;
      if (word.compare_exchange_weak(old, pack(left), std::memory_order_relaxed)) return task;
    }
  }

 private:
  static uint64_t pack(Range r) { return static_cast<uint64_t>(r.begin) << 32 | static_cast<uint64_t>(r.end); }
};

}  // namespace

// Threads that live as long as the process, and serve one team at a time. Some parts are opened, whoever has time comes in and takes
// tasks, and when none is left they are closed. Nobody waits for a worker that did not come: on a machine with other work to do
// some worker is always late.
class Workers {
 public:
  // Grows to `size` workers, the caller among them, or to what the system grants.
  int grow(int size) {
    try {
      for (; !openmp() && threads_ < size - 1; ++threads_) {
        std::thread([this, worker = threads_ + 1] { work(worker); }).detach();
      }
    } catch (const std::system_error&) {
      size = threads_ + 1;  // a smaller team gives the same bits
    }
    return size;
  }

  void run(int size, std::span<const Team::Part> parts) {
    const size_t shares = parts.size() * static_cast<size_t>(size);
    if (shares > shares_size_) {
      shares_ = std::make_unique<Share[]>(shares);
      shares_size_ = shares;
    }
    parts_ = parts;
    size_ = size;
    for (size_t p = 0; p < parts.size(); ++p) {
      for (int i = 0; i < size; ++i) share_of(p, i).fill(share(parts[p].tasks, i, size));
    }
#if defined(FASTNN_PARALLEL_OPENMP)
    if (openmp()) {
#pragma omp parallel num_threads(size)
      {
        const FlushDenormals flush;
        take_part(omp_get_thread_num());
      }
      return;
    }
#endif
    generation_ += 1u << kSizeBits;
    open_.store(generation_ | static_cast<uint32_t>(size), std::memory_order_seq_cst);
    open_.notify_all();
    take_part(0);
    // Either a worker that comes now sees that the step is closed, or it is seen here and waited for.
    open_.store(generation_, std::memory_order_seq_cst);
    for (int spins = 0; const int left = inside_.load(std::memory_order_seq_cst);) {
      if (++spins < kSpins) {
        pause();
      } else {
        inside_.wait(left, std::memory_order_seq_cst);
      }
    }
  }

 private:
  static constexpr uint32_t kSizeBits = 9, kSizeMask = (1u << kSizeBits) - 1;  // kMaxThreads fits

  // libgomp hangs in a forked child once the parent has run a parallel region: there our own workers take over.
  static bool openmp() {
#if defined(FASTNN_PARALLEL_OPENMP)
    return !forked;
#else
    return false;
#endif
  }

  void work(int worker) {
    const FlushDenormals flush;
    for (uint32_t seen = 0;;) {
      wait_for_change(open_, seen, kSpins);
      seen = open_.load(std::memory_order_relaxed);
      if (!invites(seen, worker)) continue;
      inside_.fetch_add(1, std::memory_order_seq_cst);
      seen = open_.load(std::memory_order_seq_cst);
      if (invites(seen, worker)) take_part(worker);  // in what is open: while a worker is inside, nothing else can be opened
      if (inside_.fetch_sub(1, std::memory_order_seq_cst) == 1) inside_.notify_one();
    }
  }

  static bool invites(uint32_t open, int worker) { return worker < static_cast<int>(open & kSizeMask); }

  Share& share_of(size_t part, int worker) { return shares_[part * static_cast<size_t>(size_) + static_cast<size_t>(worker)]; }

  void take_part(int worker) {
    const auto take = [&](size_t p, int from, bool last) {
      const Team::Part& part = parts_[p];
      Share& left = share_of(p, from);
      for (int64_t task; (task = left.take(last)) >= 0;) part.task(part.context, worker, part.first + task);
    };
    for (size_t p = 0; p < parts_.size(); ++p) take(p, worker, false);
    for (int i = 1; i < size_; ++i) {
      for (size_t p = parts_.size(); p-- > 0;) take(p, (worker + i) % size_, true);
    }
  }

  int threads_ = 0;
  uint32_t generation_ = 0;
  // Of what is open.
  std::unique_ptr<Share[]> shares_;  // of each part, one for each worker
  size_t shares_size_ = 0;
  std::span<const Team::Part> parts_;
  int size_ = 0;
  alignas(kAlignment) std::atomic<uint32_t> open_{0};  // generation << kSizeBits | size of the team; size 0: closed
  alignas(kAlignment) std::atomic<int> inside_{0};
};

namespace {

// The workers that serve nobody now; concurrent teams have some each. Never destroyed, because threads may be asleep in them when
// the process ends. A forked child has none of its parent's threads, so it gets a new list.
struct IdleWorkers {
  std::mutex mutex;
  std::vector<Workers*> all;

  Workers* take() {
    std::lock_guard lock(mutex);
    if (all.empty()) return new Workers;
    Workers* workers = all.back();
    all.pop_back();
    return workers;
  }
  void give_back(Workers* workers) {
    std::lock_guard lock(mutex);
    all.push_back(workers);
  }
};
std::atomic<IdleWorkers*> idle_workers{new IdleWorkers};

std::atomic<bool> more_threads_than_cpus{false};

}  // namespace

Team::Team(int threads) : size_(std::clamp(threads, 1, kMaxThreads)) {
#if defined(FASTNN_PARALLEL_SERIAL)
  size_ = 1;
#endif
  if (!more_threads_than_cpus) size_ = std::min(size_, budget().most.load());
  if (size_ == 1) return;
  workers_ = idle_workers.load()->take();
  size_ = workers_->grow(size_);
}

Team::~Team() {
  if (workers_ != nullptr) idle_workers.load()->give_back(workers_);
}

void Team::run(std::span<const Part> parts) {
  constexpr int64_t kMost = 0xffffffff;  // tasks that fit into a share
  int64_t most = 0;
  for (const Part& part : parts) most = std::max(most, part.tasks);
  if (size_ > 1 && most > 1 && most <= kMost) return workers_->run(size_, parts);
  for (const Part& part : parts) {
    if (size_ > 1 && part.tasks > 1) {
      for (Part piece = part; piece.first < part.first + part.tasks; piece.first += kMost) {
        piece.tasks = std::min(kMost, part.first + part.tasks - piece.first);
        workers_->run(size_, {&piece, 1});
      }
    } else {
      for (int64_t i = 0; i < part.tasks; ++i) part.task(part.context, 0, part.first + i);
    }
  }
}

void set_more_threads_than_cpus(bool allowed) { more_threads_than_cpus = allowed; }

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
  idle_workers = new IdleWorkers;
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
