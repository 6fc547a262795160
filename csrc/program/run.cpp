#include <atomic>
#include <cstring>
#include <mutex>

#include "base/parallel.h"
#include "program/program.h"

namespace fastnn {

namespace {

std::atomic<double> serial_below{30e-6};
thread_local int threads_of_last_run = 1;

// The error of the lowest step, and in it of the lowest task.
class FirstError final : public Errors {
 public:
  void report(int64_t task, int64_t value) override {
    std::lock_guard lock(mutex_);
    if (found_ && (call_ < current_ || (call_ == current_ && task_ <= task))) return;
    found_ = true;
    call_ = current_;
    task_ = task;
    value_ = value;
  }
  // Steps are separated by barriers, so every worker reports for the same one; each sets the same number.
  void enter(int32_t call) { current_.store(call, std::memory_order_relaxed); }

  bool found() const { return found_; }
  [[noreturn]] void raise(const Program& program) const {
    const PlannedCall& planned = program.calls[call_];
    std::string where = planned.source.layer.empty() ? "" : planned.source.layer + ": ";
    throw ValueError(where + planned.call.op->explain(planned.call, task_, value_));
  }

 private:
  std::mutex mutex_;
  bool found_ = false;
  std::atomic<int32_t> current_{0};
  int32_t call_ = 0;
  int64_t task_ = 0, value_ = 0;
};

// Readers of variables share them; a run that commits has those it writes to itself.
class VariableLocks {
 public:
  VariableLocks(const Program& program, bool commit) : program_(program), commit_(commit) {
    for (int32_t i : program.lock_order) {
      if (exclusive(i)) {
        program.variables[i]->mutex.lock();
      } else {
        program.variables[i]->mutex.lock_shared();
      }
    }
  }
  ~VariableLocks() {
    for (int32_t i : program_.lock_order) {
      if (exclusive(i)) {
        program_.variables[i]->mutex.unlock();
      } else {
        program_.variables[i]->mutex.unlock_shared();
      }
    }
  }
  VariableLocks(const VariableLocks&) = delete;
  VariableLocks& operator=(const VariableLocks&) = delete;

 private:
  bool exclusive(int32_t i) const { return commit_ && program_.written[i]; }
  const Program& program_;
  const bool commit_;
};

class Run {
 public:
  Run(const Program& program, Context& context, std::span<const void* const> inputs, std::span<void* const> outputs,
      bool commit)
      : program_(program), context_(context), inputs_(inputs), outputs_(outputs), commit_(commit) {
    context.buffers.clear();
    for (const auto* steps : {&program.compute, &program.commit}) {
      for (const Step& step : *steps) {
        for (const Location& operand : step.operands) context.buffers.push_back(address(operand));
      }
    }
  }

  void execute(int threads) {
    run_team(threads, [](void* self, Team& team, int rank) { static_cast<Run*>(self)->work(team, rank); }, this);
    if (errors_.found()) errors_.raise(program_);
  }

 private:
  void* address(const Location& location) const {
    switch (location.kind) {
      case Location::Kind::none:
        return nullptr;
      case Location::Kind::arena:
        return context_.arena() + location.at;
      case Location::Kind::input:
        return const_cast<void*>(inputs_[location.at]);
      case Location::Kind::constant:
        return program_.constants[location.at].memory.get();
      case Location::Kind::variable:
        return program_.variables[location.at]->data();
      case Location::Kind::output:
        return outputs_[location.at];
    }
    return nullptr;
  }

  void work(Team& team, int rank) {
    const FlushDenormals flush;
    if (rank == 0) threads_of_last_run = team.size();
    void* const* buffers = context_.buffers.data();
    int64_t number = 0;
    for (const Step& step : program_.compute) buffers = run_step(step, number++, buffers, team, rank);
    if (rank == 0) copy(program_.output_copies);
    if (!commit_ || !program_.commits()) return;
    team.barrier();
    if (errors_.found()) return;  // the guard
    for (const Step& step : program_.commit) buffers = run_step(step, number++, buffers, team, rank);
    if (rank == 0) {
      copy(program_.commit_copies);
      for (size_t i = 0; i < program_.variables.size(); ++i) {
        if (program_.written[i]) program_.variables[i]->bump_version();
      }
    }
  }

  void* const* run_step(const Step& step, int64_t number, void* const* buffers, Team& team, int rank) {
    errors_.enter(step.call);
    const KernelArguments arguments{buffers, step.kernel.params.get(), context_.scratch(rank), &errors_};
    const int64_t tasks = step.kernel.tasks;
    if (team.size() == 1 || tasks > Shares::kMostTasks) {
      const Range mine = share(tasks, rank, team.size());
      for (int64_t task = mine.begin; task < mine.end; ++task) step.kernel.run(arguments, task);
    } else {
      for (int64_t task; (task = context_.shares.claim(number, tasks, rank, team.size())) >= 0;) {
        step.kernel.run(arguments, task);
      }
    }
    team.barrier();
    return buffers + step.operands.size();
  }

  void copy(const std::vector<CopyStep>& copies) {
    for (const CopyStep& step : copies) std::memcpy(address(step.to), address(step.from), step.bytes);
  }

  const Program& program_;
  Context& context_;
  std::span<const void* const> inputs_;
  std::span<void* const> outputs_;
  const bool commit_;
  FirstError errors_;
};

}  // namespace

// ---- Shares ---------------------------------------------------------------------------------------------------------------

namespace {
constexpr uint64_t kSteps = 0xffff;  // numbers of steps are below; this one stands for none
}  // namespace

void Shares::reset(int workers) {
  if (workers > workers_) {
    shares_ = std::make_unique<Share[]>(static_cast<size_t>(workers));
    workers_ = workers;
  }
  for (int i = 0; i < workers; ++i) shares_[i].word.store(kSteps << 48, std::memory_order_relaxed);
}

int64_t Shares::claim(int64_t step, int64_t tasks, int worker, int workers) {
  const uint64_t number = static_cast<uint64_t>(step) % kSteps;
  int64_t task = 0;
  for (int i = 0; i < workers; ++i) {
    const int owner = (worker + i) % workers;
    if (take(shares_[owner], number, share(tasks, owner, workers), i > 0, task)) return task;
  }
  return -1;
}

// Relaxed is enough: the barrier between two steps orders what the tasks read and write.
bool Shares::take(Share& from, uint64_t step, Range whole, bool last, int64_t& task) {
  constexpr uint64_t mask = kMostTasks;
  uint64_t word = from.word.load(std::memory_order_relaxed);
  while (true) {
    Range left = whole;  // nobody has touched it in this step
    if (word >> 48 == step) left = {static_cast<int64_t>(word >> 24 & mask), static_cast<int64_t>(word & mask)};
    if (left.begin >= left.end) {
      if (!last) from.word.store(step << 48, std::memory_order_relaxed);  // or a much later step could take it for its own
      return false;
    }
    task = last ? --left.end : left.begin++;
    const uint64_t next = step << 48 | static_cast<uint64_t>(left.begin) << 24 | static_cast<uint64_t>(left.end);
    if (from.word.compare_exchange_weak(word, next, std::memory_order_relaxed)) return true;
  }
}

void Context::reserve(const Program& program, int threads) {
  if (arena_ == nullptr || program.arena_bytes > arena_bytes_) {
    arena_.reset();  // before the new one: never both at once
    arena_ = allocate_aligned(program.arena_bytes);
    arena_bytes_ = program.arena_bytes;
  }
  // A line of its own between two workers' scratch keeps them from sharing one.
  const size_t stride = program.scratch_bytes + kAlignment, bytes = stride * static_cast<size_t>(threads);
  if (scratch_ == nullptr || bytes > scratch_bytes_) {
    scratch_.reset();
    scratch_ = allocate_aligned(bytes);
    scratch_bytes_ = bytes;
  }
  scratch_stride_ = stride;
  shares.reset(threads);
}

void run(const Program& program, Context& context, std::span<const void* const> inputs, std::span<void* const> outputs,
         bool commit) {
  const ThreadBudget budget;
  const int threads = program.estimated_seconds < serial_below ? 1 : budget.threads();
  context.reserve(program, threads);
  const VariableLocks locks(program, commit);
  Run(program, context, inputs, outputs, commit).execute(threads);
}

void set_serial_below(double seconds) { serial_below = seconds; }
int last_run_threads() { return threads_of_last_run; }

}  // namespace fastnn
