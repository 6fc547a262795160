#include "file/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/errors.h"
#include "file/json.h"

namespace fastnn {

static_assert(std::endian::native == std::endian::little, "tensors are copied to and from files as they lie in memory");

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxAxes = 32;  // what every NumPy can hold
constexpr size_t kHeaderAlignment = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

struct FormatDType {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};

// The format's element types, in the order in which its writer sorts tensors, from last to first.
constexpr FormatDType kFormatDTypes[] = {
    {"BOOL", 8, DType::boolean},
    {"F4", 4, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"U8", 8, DType::uint8},
    {"I8", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"I16", 16, {}},
    {"U16", 16, {}},
    {"F16", 16, {}},
    {"BF16", 16, {}},
    {"I32", 32, DType::int32},
    {"U32", 32, {}},
    {"F32", 32, DType::float32},
    {"C64", 64, {}},
    {"F64", 64, DType::float64},
    {"I64", 64, DType::int64},
    {"U64", 64, {}},
};

const FormatDType& format_dtype(DType dtype) {
  return *std::ranges::find(kFormatDTypes, std::optional(dtype), &FormatDType::dtype);
}

// ---- Reading --------------------------------------------------------------------------------------------------------------

// What the header says about one tensor, not yet checked against anything.
struct Entry {
  std::string name, dtype;
  Dims dims;
  int64_t begin = 0, end = 0;
};

int64_t read_length(JsonReader& reader) {
  const int64_t value = reader.integer();
  if (value < 0) reader.fail(std::to_string(value), "a number >= 0");
  return value;
}

Entry read_entry(JsonReader& reader, const std::string& name) {
  Entry entry;
  entry.name = name;
  bool has_dtype = false, has_shape = false;
  int offsets = 0;
  reader.begin_object();
  for (std::string key; reader.next_key(key);) {
    if (key == "dtype") {
      entry.dtype = reader.string();
      has_dtype = true;
    } else if (key == "shape") {
      reader.begin_array();
      while (reader.next_item()) {
        if (entry.dims.size() == kMaxAxes) reader.fail("one more axis", concat("at most ", kMaxAxes));
        entry.dims.push_back(read_length(reader));
      }
      has_shape = true;
    } else if (key == "data_offsets") {
      reader.begin_array();
      while (reader.next_item()) {
        if (offsets == 2) reader.fail("a third offset", "begin and end");
        (offsets++ == 0 ? entry.begin : entry.end) = read_length(reader);
      }
    } else {
      reader.fail("the key " + in_quotes(key), "dtype, shape and data_offsets");
    }
  }
  if (!has_dtype || !has_shape || offsets != 2) {
    reader.fail("a tensor that is not described completely", "dtype, shape and two data_offsets");
  }
  return entry;
}

Metadata read_metadata(JsonReader& reader) {
  Metadata metadata;
  reader.begin_object();
  for (std::string key; reader.next_key(key);) metadata[key] = reader.string();
  return metadata;
}

[[noreturn]] void refuse(const std::string& where, std::string_view name, const std::string& came,
                         const std::string& expected) {
  throw ValueError(concat(where, ": tensor ", in_quotes(name), ": ", came, "; expected ", expected, "; write the file again"));
}

// The bytes such a tensor has; ok is false where they are not a whole number below 2^63.
int64_t packed_bytes(const Dims& dims, int bits, bool& ok) {
  // Axes of length 0 are left out at first, so that no product of others overflows in the hands of whoever reshapes it.
  int64_t product = bits;
  bool empty = false;
  ok = true;
  for (int64_t length : dims) {
    if (length == 0)
      empty = true;
    else
      ok = ok && !__builtin_mul_overflow(product, length, &product);
  }
  if (empty || !ok) return 0;
  ok = product % 8 == 0;
  return product / 8;
}

}  // namespace

void Safetensors::read_header(std::string_view header, uint64_t data_size) {
  std::vector<Entry> entries;
  {
    const std::string where = where_ + ": header";
    // The format says so, and it tells other files that happen to begin with a small number.
    if (!header.starts_with('{')) {
      throw ValueError(where + ": does not begin with {; expected a JSON object; check that this is a safetensors file");
    }
    JsonReader reader(header, where, {.bytes = kMaxHeader});
    reader.begin_object();
    for (std::string name; reader.next_key(name);) {
      if (name == kMetadataKey)
        metadata_ = read_metadata(reader);
      else
        entries.push_back(read_entry(reader, name));
    }
    reader.end();
  }
  // An empty tensor may share its offset with the one that begins there: it comes first.
  std::ranges::stable_sort(
      entries, [](const Entry& a, const Entry& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });

  int64_t covered = 0;
  tensors_.reserve(entries.size());
  for (Entry& entry : entries) {
    const auto* type = std::ranges::find(kFormatDTypes, entry.dtype, &FormatDType::name);
    if (type == std::end(kFormatDTypes)) {
      refuse(where_, entry.name, "dtype " + in_quotes(entry.dtype), "one that the format has, like F32 or BF16");
    }
    if (entry.begin != covered) {
      refuse(where_, entry.name, concat("data from byte ", entry.begin),
             concat("data from byte ", covered, ", where the tensor before it ends"));
    }
    bool ok = true;
    const int64_t bytes = packed_bytes(entry.dims, type->bits, ok);
    if (!ok) refuse(where_, entry.name, concat(type->name, " of shape ", entry.dims), "a whole number of bytes below 2^60");
    if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
      refuse(where_, entry.name, concat("data from byte ", entry.begin, " to ", entry.end),
             concat(bytes, " bytes for ", type->name, " of shape ", entry.dims));
    }
    if (static_cast<uint64_t>(entry.end) > data_size) {
      refuse(where_, entry.name, concat("data up to byte ", entry.end),
             concat("at most the ", data_size, " bytes of data that the file has"));
    }
    covered = entry.end;
    tensors_.push_back({std::move(entry.name), type->name, type->dtype, std::move(entry.dims), {}});
    // Only the length is known so far; place() gives the address.
    tensors_.back().bytes = {static_cast<const std::byte*>(nullptr), static_cast<size_t>(bytes)};
  }
  if (static_cast<uint64_t>(covered) != data_size) {
    throw ValueError(
        concat(where_, ": ", data_size, " bytes of data; expected ", covered, ", what its tensors need; write the file again"));
  }
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::ranges::sort(by_name_, {}, [&](uint32_t i) -> const std::string& { return tensors_[i].name; });
}

void Safetensors::place(const std::byte* data) {
  for (StoredTensor& tensor : tensors_) {
    tensor.bytes = {data, tensor.bytes.size()};
    data += tensor.bytes.size();
    if (tensor.dtype != DType::boolean) continue;
    const auto bad = std::ranges::find_if(tensor.bytes, [](std::byte b) { return b > std::byte{1}; });
    if (bad != tensor.bytes.end()) {
      refuse(where_, tensor.name, concat("a BOOL of value ", std::to_integer<int>(*bad)), "0 or 1");
    }
  }
}

namespace {

// N, checked against what there is before anything of that length is touched.
size_t header_size(const std::byte* first, uint64_t file_size, const std::string& where) {
  uint64_t length;
  std::memcpy(&length, first, kLengthBytes);
  if (length > kMaxHeader || length > file_size - kLengthBytes) {
    throw ValueError(
        concat(where, ": a header of ", length, " bytes; expected at most ", std::min(kMaxHeader, file_size - kLengthBytes),
               length > kMaxHeader ? "" : ", what the file has left", "; check that this is a safetensors file, and whole"));
  }
  return static_cast<size_t>(length);
}

void expect_length_field(uint64_t file_size, const std::string& where) {
  if (file_size >= kLengthBytes) return;
  throw ValueError(
      concat(where, ": ", file_size,
             " bytes; expected at least the 8 that give the header's length; check that this is a safetensors file, "
             "and whole"));
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Safetensors Safetensors::parse(std::span<const std::byte> bytes, std::string where) {
  Safetensors result(std::move(where));
  expect_length_field(bytes.size(), result.where_);
  const size_t header = header_size(bytes.data(), bytes.size(), result.where_);
  const auto data = bytes.subspan(kLengthBytes + header);
  result.read_header(as_text(bytes.subspan(kLengthBytes, header)), data.size());
  result.place(data.data());
  return result;
}

Safetensors Safetensors::read(const std::string& path, const Interrupt& interrupt) {
  const InputFile file(path);
  Safetensors result(path);
  expect_length_field(file.size(), path);
  std::byte length[kLengthBytes];
  file.read(0, length);
  const size_t header = header_size(length, file.size(), path);
  const uint64_t begin = kLengthBytes + header, data_size = file.size() - begin;
  {
    std::vector<std::byte> text(header);
    file.read(kLengthBytes, text, interrupt);
    result.read_header(as_text(text), data_size);
  }
  result.memory_ = allocate_aligned(data_size);
  file.read(begin, {result.memory_.get(), data_size}, interrupt);
  result.place(result.memory_.get());
  return result;
}

const StoredTensor* Safetensors::find(std::string_view name) const {
  const auto found =
      std::ranges::lower_bound(by_name_, name, {}, [&](uint32_t i) -> std::string_view { return tensors_[i].name; });
  return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

const StoredTensor& Safetensors::at(std::string_view name) const {
  if (const StoredTensor* tensor = find(name)) return *tensor;
  throw ValueError(concat(where_, ": no tensor ", in_quotes(name), "; expected one among its ", tensors_.size(),
                          "; check that the file belongs to this model"));
}

DType Safetensors::dtype(const StoredTensor& tensor) const {
  if (tensor.dtype) return *tensor.dtype;
  throw TypeError(concat(where_, ": tensor ", in_quotes(tensor.name), ": dtype ", tensor.format_dtype,
                         "; expected F32, F64, I32, I64, U8 or BOOL; convert the tensor before it is written"));
}

// ---- Writing --------------------------------------------------------------------------------------------------------------

namespace {

struct Layout {
  std::string header;                      // with the length before it
  std::vector<const TensorView*> tensors;  // in the order of their data
  size_t data_size = 0;
};

std::span<const std::byte> bytes_of(const TensorView& tensor) {
  bool ok = std::ranges::all_of(tensor.dims, [](int64_t length) { return length >= 0; }) && tensor.dims.size() <= kMaxAxes;
  const int64_t bytes = ok ? packed_bytes(tensor.dims, static_cast<int>(8 * item_size(tensor.dtype)), ok) : 0;
  if (ok) return {static_cast<const std::byte*>(tensor.data), static_cast<size_t>(bytes)};
  throw ValueError(concat("safetensors: tensor ", in_quotes(tensor.name), ": shape ", tensor.dims,
                          "; expected at most 32 axes, none negative, and fewer than 2^60 bytes; reshape it"));
}

void expect_utf8(std::string_view text) {
  if (is_utf8(text)) return;
  throw ValueError(
      concat("safetensors: the text ", in_quotes(text), " is not UTF-8 from there on; expected UTF-8; encode it so"));
}

Layout lay_out(std::span<const TensorView> tensors, const Metadata& metadata) {
  Layout layout;
  for (const TensorView& tensor : tensors) {
    expect_utf8(tensor.name);
    if (tensor.name == kMetadataKey) {
      throw ValueError(
          "safetensors: a tensor called \"__metadata__\"; expected another name; the format keeps this one for itself");
    }
    layout.tensors.push_back(&tensor);
  }
  std::ranges::sort(layout.tensors, [](const TensorView* a, const TensorView* b) {
    const auto *rank_a = &format_dtype(a->dtype), *rank_b = &format_dtype(b->dtype);
    return rank_a != rank_b ? rank_a > rank_b : a->name < b->name;
  });
  std::string& json = layout.header;
  json.assign(kLengthBytes, '\0');
  json += '{';
  if (!metadata.empty()) {
    append_json_string(json, kMetadataKey);
    char separator = ':';
    for (const auto& [key, value] : metadata) {
      expect_utf8(key);
      expect_utf8(value);
      json += separator;
      if (separator == ':') json += '{';
      append_json_string(json, key);
      json += ':';
      append_json_string(json, value);
      separator = ',';
    }
    json += '}';
  }
  for (const TensorView* tensor : layout.tensors) {
    if (json.size() > kLengthBytes + 1) json += ',';
    append_json_string(json, tensor->name);
    json.append(":{\"dtype\":\"").append(format_dtype(tensor->dtype).name).append("\",\"shape\":[");
    for (size_t axis = 0; axis < tensor->dims.size(); ++axis) {
      json.append(axis ? "," : "").append(std::to_string(tensor->dims[axis]));
    }
    const size_t begin = layout.data_size;
    layout.data_size += bytes_of(*tensor).size();
    json.append("],\"data_offsets\":[").append(std::to_string(begin)).append(",");
    json.append(std::to_string(layout.data_size)).append("]}");
  }
  json += '}';
  json.resize((json.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
  const uint64_t length = json.size() - kLengthBytes;
  if (length > kMaxHeader) {
    throw ValueError(concat("safetensors: a header of ", length, " bytes; expected at most ", kMaxHeader,
                            ", which is the format's limit; write fewer tensors or less metadata"));
  }
  std::memcpy(json.data(), &length, kLengthBytes);

  std::vector<std::string_view> names;
  for (const TensorView* tensor : layout.tensors) names.push_back(tensor->name);
  std::ranges::sort(names);
  if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
    throw ValueError(concat("safetensors: two tensors called ", in_quotes(*twice), "; expected every name once; rename one"));
  }
  return layout;
}

}  // namespace

void write_safetensors(const std::string& path, std::span<const TensorView> tensors, const Metadata& metadata,
                       const Interrupt& interrupt) {
  const Layout layout = lay_out(tensors, metadata);
  OutputFile file(path);
  file.write(std::as_bytes(std::span(layout.header)), interrupt);
  for (const TensorView* tensor : layout.tensors) file.write(bytes_of(*tensor), interrupt);
  file.commit();
}

std::vector<std::byte> safetensors_bytes(std::span<const TensorView> tensors, const Metadata& metadata) {
  const Layout layout = lay_out(tensors, metadata);
  std::vector<std::byte> result;
  result.reserve(layout.header.size() + layout.data_size);
  const auto append = [&](std::span<const std::byte> bytes) { result.insert(result.end(), bytes.begin(), bytes.end()); };
  append(std::as_bytes(std::span(layout.header)));
  for (const TensorView* tensor : layout.tensors) append(bytes_of(*tensor));
  return result;
}

}  // namespace fastnn
