// Any bytes as a safetensors file: the reader accepts or throws ValueError, the tensors it gives lie inside the file one behind
// the other, and they are the same after writing and reading.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/errors.h"
#include "file/safetensors.h"

using namespace fastnn;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(std::span<const std::byte> bytes) {
  std::vector<std::byte> written;
  std::vector<TensorView> views;
  try {
    const Safetensors file = Safetensors::parse(bytes, "fuzz");
    const std::byte* end = nullptr;
    for (const StoredTensor& tensor : file.tensors()) {
      require(file.find(tensor.name) == &tensor);
      require(end == nullptr || tensor.bytes.data() == end);
      end = tensor.bytes.data() + tensor.bytes.size();
      if (!tensor.dtype) continue;
      require(static_cast<size_t>(count(tensor.dims)) * item_size(*tensor.dtype) == tensor.bytes.size());
      views.push_back({tensor.name, *tensor.dtype, tensor.dims, tensor.bytes.data()});
    }
    require(end == nullptr || end == bytes.data() + bytes.size());
    written = safetensors_bytes(views, file.metadata());
    const Safetensors again = Safetensors::parse(written, "fuzz");
    require(again.metadata() == file.metadata() && again.tensors().size() == views.size());
    for (const TensorView& view : views) {
      const StoredTensor &before = file.at(view.name), &after = again.at(view.name);
      require(after.dtype == before.dtype && after.dims == before.dims);
      require(std::ranges::equal(after.bytes, before.bytes));
    }
  } catch (const ValueError&) {
    require(written.empty());  // what we write we read
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check(std::as_bytes(std::span(data, size)));
  // Mutations rarely leave a length that fits: once more with the right one, the header ending at the last brace.
  if (size < 8) return 0;
  std::vector<std::byte> fitted(size);
  std::memcpy(fitted.data(), data, size);
  uint64_t length = size - 8;
  while (length > 0 && data[8 + length - 1] != '}') --length;
  std::memcpy(fitted.data(), &length, sizeof length);
  check(fitted);
  return 0;
}
