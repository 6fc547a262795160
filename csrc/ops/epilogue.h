// What an op may make of its result before it leaves the cache, elementwise and with one more array of the result's shape, `other`:
// max(y, 0), y + other, y other, or y where other > 0, else 0. The bits are those of two ops; the pass product_epilogue makes one
// of them. The op has an attribute `epilogue`, by which the second is named, and `other` for its last operand.
#pragma once

#include <initializer_list>

#include "ops/op.h"

namespace fastnn {

enum class Epilogue : uint8_t { none, relu, add, multiply, relu_backward };

// That of the call, or none where it names none that there is.
Epilogue epilogue_of(const Call& call);
// For `infer`: is it one of those `known` to the op, and does `other` belong to it and to a result of this shape?
void expect_epilogue(const Call& call, std::initializer_list<Epilogue> known, const Shape& result);

}  // namespace fastnn
