// A Program: an immutable flat list of kernel calls over one arena.
//
// A run has two parts. Compute writes only the arena and the caller's output arrays. Between it and commit stands a guard: if a
// kernel reported an error, commit is skipped and the run throws, so that a failed step leaves every variable as it was.
// Commit alone writes variables: optimizer updates in place, everything else copied to them.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/parallel.h"
#include "program/graph.h"

namespace fastnn {

// Where a step finds an operand. Steps never hold addresses, so any number of runs share one Program.
struct Location {
  enum class Kind : uint8_t { none, arena, prepared, input, constant, variable, output };
  Kind kind = Kind::none;
  int64_t at = 0;  // the offset in the arena or in what is prepared, else the index
  friend bool operator==(const Location&, const Location&) = default;
};

struct Step {
  KernelStep kernel;
  std::vector<Location> operands;  // outputs, inputs, workspace
  int32_t call;                    // index into Program::calls
  int32_t phase;                   // steps of a phase are neighbours, and none needs what another makes
};

struct CopyStep {
  Location to, from;
  size_t bytes;
};

// One op of the program, for errors, profile and summary.
struct PlannedCall {
  Call call;
  Source source;
  std::string_view variant;
  Cost cost;
};

// What steps make of constants and of variables that the program does not write, such as transformed weights: made by the first run
// and by the first after a variable changed. Immutable, so that runs at the same time share it.
struct Prepared {
  std::vector<uint64_t> versions;  // of the variables
  AlignedMemory memory;
};
class Preparation {
 public:
  std::shared_ptr<const Prepared> latest();
  void replace(std::shared_ptr<const Prepared> prepared);

 private:
  std::mutex mutex_;
  std::shared_ptr<const Prepared> latest_;
};

struct Program {
  Isa isa;
  std::vector<PlannedCall> calls;
  std::vector<Step> prepare, compute, commit;
  std::vector<int32_t> prepared_from;  // variables
  size_t prepared_bytes = 0;
  std::unique_ptr<Preparation> preparation = std::make_unique<Preparation>();
  std::vector<CopyStep> output_copies;  // results computed elsewhere, and variables that commit copies
  std::vector<CopyStep> commit_copies;
  std::vector<Graph::Constant> constants;
  std::vector<VariablePtr> variables;
  std::vector<char> written;        // per variable: does commit write it?
  std::vector<int32_t> lock_order;  // the variables by address, so that concurrent runs cannot deadlock
  std::vector<TensorType> inputs, outputs;
  size_t arena_bytes = 0;
  size_t scratch_bytes = 0;       // per worker
  size_t intermediate_bytes = 0;  // all intermediate values without sharing, for the summary
  double estimated_seconds = 0;   // on one thread

  bool commits() const { return !commit.empty() || !commit_copies.empty(); }
};

// Chooses kernels and places buffers. Every symbol of the graph must be bound.
Program plan(Graph graph, Isa isa);

// A run's own memory. Not shared between concurrent runs; grows to what the largest program needs.
class Context {
 public:
  void reserve(const Program& program, int threads);
  std::byte* arena() { return arena_.get(); }
  std::byte* scratch(int worker) { return scratch_.get() + static_cast<size_t>(worker) * scratch_stride_; }
  std::vector<void*> buffers;

 private:
  AlignedMemory arena_, scratch_;
  size_t arena_bytes_ = 0, scratch_bytes_ = 0, scratch_stride_ = 0;
};

struct StepTime {
  double begin, end;  // in seconds since the run began
};

// Runs on this run's part of the thread budget. Inputs and outputs are contiguous arrays of the program's types, and no output
// overlaps another array. A program with variables runs inside a NoFork. Throws ValueError where a kernel reported bad data,
// naming the layer. `times` gets one entry for each step, compute, then, if all went well, commit; to be timed, each runs alone.
void run(const Program& program, Context& context, std::span<const void* const> inputs, std::span<void* const> outputs,
         bool commit, std::vector<StepTime>* times = nullptr);

// Programs whose estimate is below this run on the caller alone: waking workers costs 17 to 35 microseconds.
void set_serial_below(double seconds);
void reverse_phases(bool reversed);  // for tests: the steps of a phase from the last to the first
int last_run_threads();              // of this thread's last run, for tests

}  // namespace fastnn
