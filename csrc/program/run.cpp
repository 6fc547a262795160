#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>

#include "base/parallel.h"
#include "program/program.h"

namespace fastnn {

namespace {

std::atomic<double> serial_below{30e-6};
std::atomic<bool> phases_reversed{false};
thread_local int threads_of_last_run = 1;

// The error of the lowest call, and in it of the lowest task.
class FirstError {
 public:
  void report(int32_t call, int64_t task, int64_t value) {
    std::lock_guard lock(mutex_);
    if (found_ && (call_ < call || (call_ == call && task_ <= task))) return;
    found_ = true;
    call_ = call;
    task_ = task;
    value_ = value;
  }

  bool found() const { return found_; }
  [[noreturn]] void raise(const Program& program) const {
    const PlannedCall& planned = program.calls[call_];
    std::string where = planned.source.layer.empty() ? "" : planned.source.layer + ": ";
    throw ValueError(where + planned.call.op->explain(planned.call, task_, value_));
  }

 private:
  std::mutex mutex_;
  bool found_ = false;
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
    for (size_t i = 0; i < steps.size();) {
      size_t together = 1;  // steps of this phase; timed, each alone
      if (times == nullptr) {
        const size_t most = std::min(kMostTogether, steps.size() - i);
        while (together < most && steps[i + together].phase == steps[i].phase) ++together;
      }
      for (size_t k = 0; k < together; ++k) {
        works_[k].run = this;
        works_[k].step = &steps[i + k];
        works_[k].buffers = buffers;
        parts_[k] = {steps[i + k].kernel.tasks, run_task, &works_[k]};
        buffers += steps[i + k].operands.size();
      }
      if (phases_reversed) std::reverse(parts_.begin(), parts_.begin() + static_cast<int64_t>(together));
      const double begin = times == nullptr ? 0 : seconds();
      for (int64_t round = 0; round < steps[i].kernel.rounds; ++round) {  // of a step that is alone, if there are several
        team.run(std::span(parts_).first(together));
        parts_[0].first += parts_[0].tasks;
      }
      if (times != nullptr) times->push_back({begin, seconds()});
      i += together;
    }
    return buffers;
  }

  // A step while it runs.
  struct Work final : Errors {
    Run* run = nullptr;
    const Step* step = nullptr;
    void* const* buffers = nullptr;
    void report(int64_t task, int64_t value) override { run->errors_.report(step->call, task, value); }
  };
  static void run_task(void* context, int worker, int64_t task) {
    Work& work = *static_cast<Work*>(context);
    const KernelStep& kernel = work.step->kernel;
    kernel.run({work.buffers, kernel.params.get(), work.run->context_.scratch(worker), &work}, task);
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
  static constexpr size_t kMostTogether = 16;  // between more steps of a phase a barrier does no harm
  std::array<Work, kMostTogether> works_;
  std::array<Team::Part, kMostTogether> parts_;
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
void reverse_phases(bool reversed) { phases_reversed = reversed; }
int last_run_threads() { return threads_of_last_run; }

}  // namespace fastnn
