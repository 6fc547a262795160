// A variable: memory that outlives runs. Weights, optimizer slots, running statistics, counters, metric sums.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>

#include "base/extent.h"
#include "base/memory.h"
#include "fastnn/dtype.h"

namespace fastnn {

// Many readers or one writer, in the order they came: a training loop cannot be starved by a stream of predictions.
class FairSharedMutex {
 public:
  void lock() {
    std::lock_guard turn(gate_);
    mutex_.lock();
  }
  void lock_shared() {
    std::lock_guard turn(gate_);
    mutex_.lock_shared();
  }
  void unlock() { mutex_.unlock(); }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  std::mutex gate_;
  std::shared_mutex mutex_;
};

class Variable {
 public:
  Variable(std::string name, DType dtype, Dims dims);

  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }
  DType dtype() const { return dtype_; }
  const Dims& dims() const { return dims_; }
  size_t bytes() const { return bytes_; }
  std::byte* data() { return memory_.get(); }

  void read(void* to);           // waits for a run that writes it
  void write(const void* from);  // waits for every run that reads it

  // Counts the writes, so that whatever was derived from the value knows when it is stale.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  void bump_version() { version_.fetch_add(1, std::memory_order_acq_rel); }

  FairSharedMutex mutex;

 private:
  std::string name_;
  DType dtype_;
  Dims dims_;
  size_t bytes_;
  SharedMemory memory_;
  std::atomic<uint64_t> version_{0};
};

using VariablePtr = std::shared_ptr<Variable>;

// The values of several variables as of one moment: no run commits between the first and the last. One copy each, in order;
// a variable may occur twice.
void read_variables(std::span<const VariablePtr> variables, std::span<void* const> to);
// New values for all of them at once: no run sees some of the old and some of the new.
void write_variables(std::span<const VariablePtr> variables, std::span<const void* const> from);

}  // namespace fastnn
