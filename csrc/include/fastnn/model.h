// A trained model in a C++ program: load it, plan it for the shapes at hand, run it.
//
//     const fastnn::Model model("digits.safetensors");
//     const fastnn::Plan plan = model.plan(32);                  // for batches of 32
//     std::vector<float> digits(plan.outputs()[0].size());
//     plan.run(images, digits);                                  // images: 32 x 28 x 28 floats in one piece
//
// Models and plans are handles: a copy costs a counter, and a plan keeps its model alive. Any number of threads may use both at
// once; every run that is going on has memory of its own, made when it is first needed and kept for later ones.
// Errors: fastnn/errors.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <vector>

#include "fastnn/dtype.h"

namespace fastnn {

// An input or output.
struct TensorInfo {
  std::string name;  // of an input; of an output, the layer that it comes from
  DType dtype = DType::float32;
  std::vector<int64_t> shape;  // of a model: -1 where a length is free

  size_t size() const;  // elements; ValueError while a length is free
};

// Memory that a run reads: any vector, array or span of a type that DType has, or what a pointer points to. Arrays of several
// axes lie in C order. Whoever makes one sees to it that the memory outlives the run.
struct Input {
  template <std::ranges::contiguous_range Range>
  Input(const Range& range)  // NOLINT: a range is an input
      : Input(std::ranges::data(range), std::ranges::size(range)) {}
  template <typename T>
  Input(const T* first, size_t count) : Input(first, count, DTypeOf<T>::value) {}
  Input(const void* first, size_t count, DType type) : data(first), size(count), dtype(type) {}

  const void* data;
  size_t size;  // elements
  DType dtype;
};

// Memory that a run writes. It overlaps no other array of the run.
struct Output {
  template <std::ranges::contiguous_range Range>
    requires std::ranges::borrowed_range<Range>  // an lvalue, or a span: a temporary vector would be gone with its results
  Output(Range&& range)                          // NOLINT: a range is an output
      : Output(std::ranges::data(range), std::ranges::size(range)) {}
  template <typename T>
  Output(T* first, size_t count) : Output(first, count, DTypeOf<T>::value) {}
  Output(void* first, size_t count, DType type) : data(first), size(count), dtype(type) {}

  void* data;
  size_t size;  // elements
  DType dtype;
};

// A model planned for certain lengths: kernels are chosen, memory is laid out.
class Plan {
 public:
  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;

  // Computes the outputs from the inputs, both in the model's order. ValueError where an array has another number of elements,
  // where two overlap, or where the data cannot be computed with (the error names the layer); TypeError for another dtype.
  // Allocates nothing once as many runs have been going on at the same time before, for up to 16 inputs and outputs.
  void run(std::span<const Input> inputs, std::span<const Output> outputs) const;
  void run(std::initializer_list<Input> inputs, std::initializer_list<Output> outputs) const {
    run(std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()));
  }
  void run(const Input& input, const Output& output) const { run(std::span(&input, 1), std::span(&output, 1)); }

 private:
  friend class Model;
  struct Impl;
  explicit Plan(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// The prediction of a model file (docs/file-format.md).
class Model {
 public:
  // Reads the file. ValueError where its content is not a model, or one of a newer fastnn; IoError where it cannot be read.
  explicit Model(const std::string& path);
  // The same from the bytes of a file, which are copied; `where` names them in errors.
  static Model from_memory(std::span<const std::byte> bytes, const std::string& where = "model");

  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;
  const std::vector<std::string>& lengths() const;  // the names of those that are free: "batch"

  // Plans the model, in about a millisecond. The last 16 plans are kept: to plan for the same lengths once more is free.
  Plan plan(const std::map<std::string, int64_t>& lengths) const;  // one for each free length
  Plan plan(int64_t length) const;                                 // for a model with one free length
  Plan plan() const;                                               // for a model with none

 private:
  friend class Plan;
  struct Impl;
  explicit Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace fastnn
