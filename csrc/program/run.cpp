#include <atomic>
#include <chrono>
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
  void enter(int32_t call) { current_ = call; }  // between two steps, when no task runs

  bool found() const { return found_; }
  [[noreturn]] void raise(const Program& program) const {
    const PlannedCall& planned = program.calls[call_];
    std::string where = planned.source.layer.empty() ? "" : planned.source.layer + ": ";
    throw ValueError(where + planned.call.op->explain(planned.call, task_, value_));
  }

 private:
  std::mutex mutex_;
  bool found_ = false;
  int32_t current_ = 0;
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
  using Clock = std::chrono::steady_clock;

 public:
  Run(const Program& program, Context& context, std::span<const void* const> inputs, std::span<void* const> outputs,
      bool commit)
      : program_(program), context_(context), inputs_(inputs), outputs_(outputs), commit_(commit) {
    if (!program.prepare.empty()) prepared_ = program.preparation->latest();
    is_prepared_ = program.prepare.empty() || (prepared_ != nullptr && prepared_->versions == versions());
  }

  void execute(int threads, std::vector<StepTime>* times) {
    begin_ = times == nullptr ? Clock::time_point() : Clock::now();
    const FlushDenormals flush;
    Team team(threads);
    threads_of_last_run = team.size();
    if (!is_prepared_) prepare(team);
    find_buffers({&program_.compute, &program_.commit});
    void* const* buffers = run_steps(program_.compute, context_.buffers.data(), team, times);
    copy(program_.output_copies);
    if (errors_.found()) errors_.raise(program_);  // the guard: nothing is committed
    if (!commit_ || !program_.commits()) return;
    run_steps(program_.commit, buffers, team, times);
    copy(program_.commit_copies);
    for (size_t i = 0; i < program_.variables.size(); ++i) {
      if (program_.written[i]) program_.variables[i]->bump_version();
    }
    if (errors_.found()) errors_.raise(program_);
  }

 private:
  void* address(const Location& location) const {
    switch (location.kind) {
      case Location::Kind::none:
        return nullptr;
      case Location::Kind::arena:
        return context_.arena() + location.at;
      case Location::Kind::prepared:  // nothing is where every step that prepares has no task
        return prepared_ == nullptr ? nullptr : prepared_->memory.get() + location.at;
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

  // The variables are locked: they stay as they are.
  std::vector<uint64_t> versions() const {
    std::vector<uint64_t> versions;
    for (int32_t i : program_.prepared_from) versions.push_back(program_.variables[i]->version());
    return versions;
  }
  void prepare(Team& team) {
    auto made = std::make_shared<Prepared>();
    made->versions = versions();
    made->memory = allocate_aligned(program_.prepared_bytes);
    prepared_ = made;
    find_buffers({&program_.prepare});
    run_steps(program_.prepare, context_.buffers.data(), team, nullptr);
    program_.preparation->replace(std::move(made));
  }

  void find_buffers(std::initializer_list<const std::vector<Step>*> lists) {
    context_.buffers.clear();
    for (const std::vector<Step>* steps : lists) {
      for (const Step& step : *steps) {
        for (const Location& operand : step.operands) context_.buffers.push_back(address(operand));
      }
    }
  }

  // Returns where the buffers of what follows begin.
  void* const* run_steps(const std::vector<Step>& steps, void* const* buffers, Team& team, std::vector<StepTime>* times) {
    for (const Step& step : steps) {
      errors_.enter(step.call);
      struct Work {
        Run& run;
        const KernelStep& kernel;
        void* const* buffers;
        int64_t first = 0;
      } work{*this, step.kernel, buffers};
      const double begin = times == nullptr ? 0 : seconds();
      for (int64_t round = 0; round < step.kernel.rounds; ++round) {
        work.first = round * step.kernel.tasks;
        team.run(
            step.kernel.tasks,
            [](void* context, int worker, int64_t task) {
              const Work& work = *static_cast<Work*>(context);
              work.kernel.run({work.buffers, work.kernel.params.get(), work.run.context_.scratch(worker), &work.run.errors_},
                              work.first + task);
            },
            &work);
      }
      if (times != nullptr) times->push_back({begin, seconds()});
      buffers += step.operands.size();
    }
    return buffers;
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  void copy(const std::vector<CopyStep>& copies) {
    for (const CopyStep& step : copies) std::memcpy(address(step.to), address(step.from), step.bytes);
  }

  const Program& program_;
  Context& context_;
  std::span<const void* const> inputs_;
  std::span<void* const> outputs_;
  const bool commit_;
  FirstError errors_;
  std::shared_ptr<const Prepared> prepared_;
  bool is_prepared_;
  Clock::time_point begin_;
};

}  // namespace

std::shared_ptr<const Prepared> Preparation::latest() {
  std::lock_guard lock(mutex_);
  return latest_;
}
void Preparation::replace(std::shared_ptr<const Prepared> prepared) {
  std::lock_guard lock(mutex_);
  latest_ = std::move(prepared);
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
}

void run(const Program& program, Context& context, std::span<const void* const> inputs, std::span<void* const> outputs,
         bool commit, std::vector<StepTime>* times) {
  const ThreadBudget budget;
  const int threads = program.estimated_seconds < serial_below ? 1 : budget.threads();
  context.reserve(program, threads);
  const VariableLocks locks(program, commit);
  Run(program, context, inputs, outputs, commit).execute(threads, times);
}

void set_serial_below(double seconds) { serial_below = seconds; }
int last_run_threads() { return threads_of_last_run; }

}  // namespace fastnn
