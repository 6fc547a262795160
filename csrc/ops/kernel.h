// The border between a Program and a kernel.
//
// A kernel is a free function on raw pointers that computes one task:
//
//     template <typename Real>
//     void dense_forward(Real* y, const Real* x, const Real* w, const Real* bias, const DenseShape& shape, int64_t task);
//
// outputs first, then inputs, then (as it needs them) its workspace and `Scratch`, its shape struct, `Errors&`, the task. A
// Program knows only `KernelFn`; FASTNN_ISA::kernel<dense_forward<float>> is the KernelFn of that function: it hands out the
// step's buffers to the pointer parameters in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "simd/cpu.h"

namespace fastnn {

// Where kernels report bad values in data (a label or token id out of range). They go on computing; the run then skips commit
// and raises. Of several reports the one of the lowest step and then the lowest task counts, whichever thread was first.
class Errors {
 public:
  virtual void report(int64_t task, int64_t value) = 0;

 protected:
  ~Errors() = default;
};

struct KernelArguments {
  void* const* buffers;  // outputs, inputs, workspace
  const void* params;
  std::byte* scratch;  // this worker's own, 64-byte aligned
  Errors* errors;
};

using KernelFn = void (*)(const KernelArguments& arguments, int64_t task);

// A parameter of this type receives the worker's scratch memory.
struct Scratch {
  std::byte* memory;
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(memory);
  }
};

// Kernels that take any number of operands read the buffers themselves through a parameter of this type.
struct Buffers {
  void* const* at;
};

namespace FASTNN_ISA {

// How a kernel's parameter is filled; `pointer` counts the pointer parameters before it.
template <typename Parameter>
struct Argument;
template <typename T>
struct Argument<T*> {
  static T* get(const KernelArguments& a, int64_t, size_t pointer) { return static_cast<T*>(a.buffers[pointer]); }
};
template <typename Params>
struct Argument<const Params&> {
  static const Params& get(const KernelArguments& a, int64_t, size_t) { return *static_cast<const Params*>(a.params); }
};
template <>
struct Argument<Scratch> {
  static Scratch get(const KernelArguments& a, int64_t, size_t) { return {a.scratch}; }
};
template <>
struct Argument<Buffers> {
  static Buffers get(const KernelArguments& a, int64_t, size_t) { return {a.buffers}; }
};
template <>
struct Argument<Errors&> {
  static Errors& get(const KernelArguments& a, int64_t, size_t) { return *a.errors; }
};
template <>
struct Argument<int64_t> {
  static int64_t get(const KernelArguments&, int64_t task, size_t) { return task; }
};

template <typename T>
constexpr bool is_pointer = false;
template <typename T>
constexpr bool is_pointer<T*> = true;

template <typename... Parameters>
constexpr size_t pointers_before(size_t position) {
  constexpr bool pointer[] = {is_pointer<Parameters>...};
  size_t count = 0;
  for (size_t i = 0; i < position; ++i) count += pointer[i];
  return count;
}

template <auto function, typename Type = decltype(function)>
struct Adapter;
template <auto function, typename... Parameters>
struct Adapter<function, void (*)(Parameters...)> {
  template <size_t... position>
  static void call(const KernelArguments& arguments, int64_t task, std::index_sequence<position...>) {
    function(Argument<Parameters>::get(arguments, task, pointers_before<Parameters...>(position))...);
  }
  static void run(const KernelArguments& arguments, int64_t task) {
    call(arguments, task, std::index_sequence_for<Parameters...>{});
  }
};

template <auto function>
constexpr KernelFn kernel = &Adapter<function>::run;

}  // namespace FASTNN_ISA
}  // namespace fastnn

// Declares the kernel table `name` of every compiled ISA and `name(isa)`, which picks one. A `.simd.cpp` defines
//     const Type name = {...};   inside namespace fastnn::FASTNN_ISA.
#if defined(FASTNN_HAS_AVX512) && defined(FASTNN_HAS_AVX2)
#define FASTNN_PER_ISA(Type, name) \
  namespace generic {              \
  extern const Type name;          \
  }                                \
  namespace avx2 {                 \
  extern const Type name;          \
  }                                \
  namespace avx512 {               \
  extern const Type name;          \
  }                                \
  inline const Type& name(Isa isa) { return isa == Isa::avx512 ? avx512::name : isa == Isa::avx2 ? avx2::name : generic::name; }
#elif defined(FASTNN_HAS_NEON)
#define FASTNN_PER_ISA(Type, name) \
  namespace generic {              \
  extern const Type name;          \
  }                                \
  namespace neon {                 \
  extern const Type name;          \
  }                                \
  inline const Type& name(Isa isa) { return isa == Isa::neon ? neon::name : generic::name; }
#else
#define FASTNN_PER_ISA(Type, name) \
  namespace generic {              \
  extern const Type name;          \
  }                                \
  inline const Type& name(Isa) { return generic::name; }
#endif
