// The file format "safetensors": named tensors, and a map of strings beside them.
//
//     8 bytes    N, the length of the header, little-endian
//     N bytes    the header: a JSON object {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}, where
//                the key "__metadata__" stands for a map of strings to strings; padded with spaces
//     the rest   the data; offsets count from its start
//
// Reading checks everything before anybody sees a tensor. Refused, with ValueError naming the file, the tensor and the reason:
// a header longer than the file or than 100 MB, whatever json.h refuses, a name that occurs twice, keys other than the three and
// any of them missing, a dtype that the format does not have, a shape of more than 32 axes or of 2^60 bytes and more (axes of
// length 0 left out), offsets that are not what dtype and shape need, data that the tensors do not cover exactly: no hole, no
// overlap, nothing behind the last one, and a BOOL that is neither 0 nor 1, which C++ may not even look at. Names may be any
// string, and the header may name tensors in any order.
// A tensor of a dtype that the library lacks is there with its name, dtype, shape and bytes; only asking for its DType throws.
// A file whose data is not aligned is read as well.
//
// Writing gives the bytes that the format's original writer gives: tensors by element type, the widest first, then by name, so
// that each lies aligned to its element, the data begins at a multiple of 8, and the same tensors always give the same file.
// Metadata is in the order of its keys.
//
// Memory: reading takes the size of the file and some ten times its header, and nothing is allocated for a length that the file
// does not have. Writing takes the header.
// Source: https://github.com/huggingface/safetensors, section "Format". Hosts are little-endian.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/extent.h"
#include "base/memory.h"
#include "fastnn/dtype.h"
#include "file/disk.h"

namespace fastnn {

using Metadata = std::map<std::string, std::string>;

struct StoredTensor {
  std::string name;
  std::string_view format_dtype;  // "F32", "BF16", ...
  std::optional<DType> dtype;     // nullopt: the library has none like it
  Dims dims;
  std::span<const std::byte> bytes;  // as they lie in the file, perhaps unaligned
};

class Safetensors {
 public:
  // The whole file, in memory.
  static Safetensors read(const std::string& path, const Interrupt& interrupt = {});
  // The same from memory, which the tensors then refer to. `where` names it in errors.
  static Safetensors parse(std::span<const std::byte> bytes, std::string where);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }  // in the order of their data
  const Metadata& metadata() const { return metadata_; }
  const std::string& where() const { return where_; }

  const StoredTensor* find(std::string_view name) const;  // nullptr if there is none
  const StoredTensor& at(std::string_view name) const;    // ValueError if there is none
  DType dtype(const StoredTensor& tensor) const;          // TypeError if the library lacks it

 private:
  explicit Safetensors(std::string where) : where_(std::move(where)) {}
  void read_header(std::string_view header, uint64_t data_size);
  void place(const std::byte* data);

  std::string where_;
  AlignedMemory memory_;  // the data, if read from a file
  std::vector<StoredTensor> tensors_;
  std::vector<uint32_t> by_name_;  // indices into tensors_
  Metadata metadata_;
};

struct TensorView {
  std::string name;
  DType dtype;
  Dims dims;
  const void* data;  // C-contiguous
};

// Replaces the file at `path` as a whole or leaves it as it was (OutputFile). ValueError for two tensors of one name, for one
// called "__metadata__", and for text that is not UTF-8.
void write_safetensors(const std::string& path, std::span<const TensorView> tensors, const Metadata& metadata,
                       const Interrupt& interrupt = {});
std::vector<std::byte> safetensors_bytes(std::span<const TensorView> tensors, const Metadata& metadata);

}  // namespace fastnn
