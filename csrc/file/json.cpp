#include "file/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/errors.h"

namespace fastnn {

namespace {

constexpr std::string_view kTypeNames[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
std::string name_of(Json::Type type) { return std::string(kTypeNames[static_cast<size_t>(type)]); }

// ---- UTF-8 ----------------------------------------------------------------------------------------------------------------

// How many bytes from the start are whole, valid characters.
size_t utf8_prefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[i + k]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xC2 && lead <= 0xDF ? 2 : (lead & 0xF0) == 0xE0 ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
    if (length == 0 || text.size() - i < length) return i;
    // The second byte's range excludes overlong forms (E0, F0), surrogates (ED) and what lies past U+10FFFF (F4).
    const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(1) < low || byte(1) > high) return i;
    for (size_t k = 2; k < length; ++k) {
      if ((byte(k) & 0xC0) != 0x80) return i;
    }
    i += length;
  }
  return i;
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// What may stand behind a backslash, and what it means.
constexpr std::string_view kEscapes = "\"\\/bfnrt", kEscaped = "\"\\/\b\f\n\r\t";

// ---- Paths ----------------------------------------------------------------------------------------------------------------

bool is_plain(std::string_view key) {
  return !key.empty() && key.size() <= 60 && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

void append_step(std::string& path, std::string_view key) {
  if (is_plain(key)) {
    path.append(path.empty() ? "" : ".").append(key);
  } else {
    path.append("[").append(in_quotes(key)).append("]");
  }
}

void append_step(std::string& path, size_t index) { path.append("[").append(std::to_string(index)).append("]"); }

// "where: path", either of which may be empty.
std::string join(std::string_view where, std::string_view path) {
  if (path.empty()) return std::string(where.empty() ? "JSON" : where);
  return where.empty() ? std::string(path) : concat(where, ": ", path);
}

}  // namespace

bool is_utf8(std::string_view text) { return utf8_prefix(text) == text.size(); }

void append_json_string(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (const size_t escape = kEscaped.find(c); escape != std::string_view::npos && c != '/') {
      (out += '\\') += kEscapes[escape];
    } else if (byte < 0x20) {
      out.append("\\u00") += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string in_quotes(std::string_view text, size_t limit) {
  std::string out;
  const std::string_view shown = text.substr(0, limit);
  append_json_string(out, shown.substr(0, utf8_prefix(shown)));
  return text.size() > limit ? out + "..." : out;
}

// ---- Values ---------------------------------------------------------------------------------------------------------------

Json::Json() = default;
Json::Json(bool value) : value_(value) {}
Json::Json(int value) : value_(int64_t{value}) {}
Json::Json(int64_t value) : value_(value) {}
Json::Json(double value) : value_(value) {}
Json::Json(const char* value) : value_(std::string(value)) {}
Json::Json(std::string value) : value_(std::move(value)) {}
Json::Json(std::string_view value) : value_(std::string(value)) {}
Json::Json(Array items) : value_(std::move(items)) {}
Json::Json(Object members) : value_(std::move(members)) {}
Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json Json::array() { return Array(); }
Json Json::object() { return Object(); }

Json::Type Json::type() const {
  constexpr Type kTypes[] = {Type::null, Type::boolean, Type::number, Type::number, Type::string, Type::array, Type::object};
  return kTypes[value_.index()];
}

void Json::append(Json item) {
  auto* items = std::get_if<Array>(&value_);
  if (items == nullptr) throw ValueError(concat("Json::append: ", name_of(type()), "; expected an array; start from one"));
  items->push_back(std::move(item));
}

void Json::set(std::string_view key, Json value) {
  auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) throw ValueError(concat("Json::set: ", name_of(type()), "; expected an object; start from one"));
  const auto found = std::ranges::find(*members, key, &Member::key);
  if (found == members->end()) {
    members->push_back({std::string(key), std::move(value)});
  } else {
    found->value = std::move(value);
  }
}

bool Json::operator==(const Json& other) const { return value_ == other.value_; }

// ---- Typed access ---------------------------------------------------------------------------------------------------------

JsonText::JsonText(std::string_view text, std::string where, const JsonLimits& limits) : text_(text), where_(std::move(where)) {
  JsonReader reader(text, where_, {std::min<size_t>(limits.bytes, UINT32_MAX), limits.depth});
  // Never too few, so that no growing vector is there twice; and most of what is too much is never touched.
  places_.reserve(1 + static_cast<size_t>(
                          std::ranges::count_if(text, [](char c) { return c == ',' || c == ':' || c == '[' || c == '{'; })));
  read(reader);
  reader.end();
}

JsonRef JsonText::root() const { return JsonRef(*this, 0, ""); }

void JsonText::read(JsonReader& reader) {  // as deep as the reader's limit
  const Json::Type type = reader.type();
  const size_t place = places_.size();
  places_.push_back({static_cast<uint32_t>(reader.position_), 0});
  switch (type) {
    case Json::Type::null:
      reader.null();
      break;
    case Json::Type::boolean:
      reader.boolean();
      break;
    case Json::Type::number:
      reader.numeric();
      break;
    case Json::Type::string:
      reader.string();
      break;
    case Json::Type::array:
      reader.begin_array();
      while (reader.next_item()) read(reader);
      break;
    case Json::Type::object:
      reader.begin_object();
      for (std::string key; reader.next_key(key);) {
        places_.push_back({static_cast<uint32_t>(reader.key_), static_cast<uint32_t>(places_.size() + 1)});
        read(reader);
      }
      break;
  }
  places_[place].behind = static_cast<uint32_t>(places_.size());
}

JsonReader JsonRef::reader(size_t place) const { return JsonReader(text_->text_, text_->places_[place].at); }

JsonRef JsonRef::step(size_t place, size_t index) const {
  JsonRef ref(*text_, place, path_);
  append_step(ref.path_, index);
  return ref;
}

JsonRef JsonRef::step(size_t place, std::string_view key) const {
  JsonRef ref(*text_, place, path_);
  append_step(ref.path_, key);
  return ref;
}

std::string JsonRef::place() const { return join(text_->where_, path_); }

void JsonRef::fail(const std::string& came, const std::string& expected) const {
  throw ValueError(concat(place(), ": ", came, "; expected ", expected, "; write the file again"));
}

Json::Type JsonRef::type() const { return reader(place_).type(); }

void JsonRef::expect_type(Json::Type wanted) const {
  if (const Json::Type came = type(); came != wanted) fail(name_of(came), name_of(wanted));
}

bool JsonRef::boolean() const {
  if (const Json::Type came = type(); came != Json::Type::boolean) fail(name_of(came), "true or false");
  return reader(place_).boolean();
}

std::variant<int64_t, double> JsonRef::numeric() const {
  expect_type(Json::Type::number);
  return reader(place_).numeric();
}

int64_t JsonRef::integer() const {
  if (const Json::Type came = type(); came != Json::Type::number) fail(name_of(came), "an integer");
  const auto value = numeric();
  if (const int64_t* integer = std::get_if<int64_t>(&value)) return *integer;
  fail(dump_json(std::get<double>(value), ""), "an integer from -2^63 to 2^63 - 1");
}

int64_t JsonRef::integer(int64_t lowest, int64_t highest) const {
  const int64_t value = integer();
  if (value < lowest || value > highest) fail(std::to_string(value), concat("an integer from ", lowest, " to ", highest));
  return value;
}

double JsonRef::number() const {
  return std::visit([](auto value) { return static_cast<double>(value); }, numeric());
}

std::string JsonRef::string() const {
  expect_type(Json::Type::string);
  return reader(place_).string();
}

size_t JsonRef::size() const {
  expect_type(Json::Type::array);
  size_t size = 0;
  for (size_t at = place_ + 1; at < behind(place_); at = behind(at)) ++size;
  return size;
}

std::optional<JsonRef> JsonRef::find(std::string_view key) const {
  expect_type(Json::Type::object);
  for (size_t at = place_ + 1; at < behind(place_); at = behind(at + 1)) {
    if (reader(at).string() == key) return step(at + 1, key);
  }
  return std::nullopt;
}

JsonRef JsonRef::operator[](std::string_view key) const {
  if (auto member = find(key)) return *member;
  fail("an object without " + in_quotes(key), "that key");
}

void JsonRef::expect_only(std::initializer_list<std::string_view> keys) const {
  for_each_member([&](const std::string& key, const JsonRef&) {
    if (std::ranges::find(keys, key) != keys.end()) return;
    std::string known;
    for (std::string_view each : keys) known += concat(known.empty() ? "" : ", ", each);
    fail("the key " + in_quotes(key), known.empty() ? "none" : "only " + known);
  });
}

// ---- Reading --------------------------------------------------------------------------------------------------------------

JsonReader::JsonReader(std::string_view text, std::string where, const JsonLimits& limits)
    : text_(text), where_(std::move(where)), depth_limit_(limits.depth) {
  if (text.size() > limits.bytes) {
    throw ValueError(concat(join(where_, ""), ": ", text.size(), " bytes of JSON; expected at most ", limits.bytes,
                            "; a document of this kind is never so long"));
  }
  if (const size_t valid = utf8_prefix(text); valid != text.size()) {
    position_ = valid;
    fail("bytes that are not UTF-8", "UTF-8");
  }
}

void JsonReader::fail(const std::string& came, const std::string& expected) const {
  std::string path;
  for (const Frame& frame : frames_) {
    if (frame.count == 0) break;
    if (frame.type == Json::Type::array) append_step(path, frame.count - 1);
    if (frame.type == Json::Type::object && frame.keys.size() == frame.count) append_step(path, frame.keys.back());
  }
  throw ValueError(
      concat(join(where_, path), " (byte ", position_, "): ", came, "; expected ", expected, "; write the file again"));
}

std::string JsonReader::here() const {
  if (position_ >= text_.size()) return "the end of the text";
  return in_quotes(text_.substr(position_), 8);
}

void JsonReader::skip_space() {
  while (at(' ') || at('\n') || at('\r') || at('\t')) ++position_;
}

Json::Type JsonReader::type() {
  skip_space();
  if (at('{')) return Json::Type::object;
  if (at('[')) return Json::Type::array;
  if (at('"')) return Json::Type::string;
  if (at('t') || at('f')) return Json::Type::boolean;
  if (at('n')) return Json::Type::null;
  if (at('-') || at_digit()) return Json::Type::number;
  fail(here(), "a value");
}

void JsonReader::expect_type(Json::Type wanted) {
  if (const Json::Type came = type(); came != wanted) fail(name_of(came), name_of(wanted));
}

void JsonReader::word(std::string_view word) {
  if (!text_.substr(position_).starts_with(word)) fail(here(), std::string(word));
  position_ += word.size();
}

void JsonReader::null() {
  expect_type(Json::Type::null);
  word("null");
}

bool JsonReader::boolean() {
  expect_type(Json::Type::boolean);
  const bool value = at('t');
  word(value ? "true" : "false");
  return value;
}

void JsonReader::digits() {
  if (!at_digit()) fail(here(), "a digit");
  while (at_digit()) ++position_;
}

std::variant<int64_t, double> JsonReader::numeric() {
  expect_type(Json::Type::number);
  const size_t begin = position_;
  if (at('-')) ++position_;
  if (at('0')) {
    ++position_;
    if (at_digit()) fail(here(), "a number without a leading zero");
  } else {
    digits();
  }
  const bool whole = !at('.') && !at('e') && !at('E');
  if (at('.')) {
    ++position_;
    digits();
  }
  if (at('e') || at('E')) {
    ++position_;
    if (at('+') || at('-')) ++position_;
    digits();
  }
  const char *first = text_.data() + begin, *last = text_.data() + position_;
  if (int64_t value; whole && std::from_chars(first, last, value).ec == std::errc()) return value;
  double value = 0;
  if (std::from_chars(first, last, value).ec != std::errc()) {
    const std::string came = in_quotes(text_.substr(begin, position_ - begin), 40);
    position_ = begin;
    fail(came, "a number that a double can hold");
  }
  return value;
}

int64_t JsonReader::integer() {
  expect_type(Json::Type::number);
  const size_t begin = position_;
  const auto value = numeric();
  if (const int64_t* integer = std::get_if<int64_t>(&value)) return *integer;
  const std::string came(text_.substr(begin, std::min<size_t>(position_ - begin, 40)));
  position_ = begin;
  fail(came, "an integer from -2^63 to 2^63 - 1");
}

double JsonReader::number() {
  return std::visit([](auto value) { return static_cast<double>(value); }, numeric());
}

std::string JsonReader::string() {
  expect_type(Json::Type::string);
  return scan_string();
}

std::string JsonReader::scan_string() {
  std::string out;
  ++position_;  // the quote
  for (;;) {
    const size_t begin = position_;
    while (position_ < text_.size() && text_[position_] != '"' && text_[position_] != '\\' &&
           static_cast<unsigned char>(text_[position_]) >= 0x20) {
      ++position_;
    }
    out.append(text_.substr(begin, position_ - begin));
    if (at('"')) break;
    if (!at('\\')) fail(here(), "the string to go on, or a quote to end it");
    scan_escape(out);
  }
  ++position_;
  return out;
}

void JsonReader::scan_escape(std::string& out) {
  ++position_;  // the backslash
  const size_t escape = position_ < text_.size() ? kEscapes.find(text_[position_]) : std::string_view::npos;
  if (escape != std::string_view::npos) {
    out += kEscaped[escape];
    ++position_;
    return;
  }
  if (!at('u')) fail(here(), "one of \" \\ / b f n r t u after a backslash");
  uint32_t code = scan_hex4();
  if (code >= 0xDC00 && code <= 0xDFFF) fail("the second half of a surrogate pair", "the first one before it");
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (!at('\\')) fail("the first half of a surrogate pair", "the second one after it");
    ++position_;
    if (!at('u')) fail("the first half of a surrogate pair", "the second one after it");
    const uint32_t low = scan_hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("the first half of a surrogate pair", "the second one after it");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(out, code);
}

uint32_t JsonReader::scan_hex4() {
  ++position_;  // the u
  uint32_t code = 0;
  for (int i = 0; i < 4; ++i, ++position_) {
    const char c = position_ < text_.size() ? text_[position_] : '\0';
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) fail(here(), "four hexadecimal digits");
    code = code << 4 | static_cast<uint32_t>(digit);
  }
  return code;
}

void JsonReader::begin(Json::Type type) {
  expect_type(type);
  if (frames_.size() >= static_cast<size_t>(depth_limit_)) {
    fail(concat(name_of(type), " inside ", frames_.size(), " others"), concat("at most ", depth_limit_, " levels"));
  }
  ++position_;
  frames_.emplace_back().type = type;
}

void JsonReader::begin_object() { begin(Json::Type::object); }
void JsonReader::begin_array() { begin(Json::Type::array); }

// Past the comma, or past the end of the array or object.
bool JsonReader::next(char close) {
  skip_space();
  if (at(close)) {
    Frame ended = std::move(frames_.back());
    frames_.pop_back();
    expect_distinct(std::move(ended));
    ++position_;
    return false;
  }
  if (frames_.back().count > 0) {
    if (!at(',')) fail(here(), concat("a comma or ", close));
    ++position_;
    skip_space();
  }
  ++frames_.back().count;
  return true;
}

// Sorted, not hashed: whoever wrote the text could make hashes collide.
void JsonReader::expect_distinct(Frame object) {
  std::ranges::sort(object.keys);
  const auto twice = std::ranges::adjacent_find(object.keys);
  if (twice != object.keys.end()) fail("the key " + in_quotes(*twice) + " a second time", "every key once");
}

bool JsonReader::next_item() { return next(']'); }

bool JsonReader::next_key(std::string& key) {
  if (!next('}')) return false;
  if (!at('"')) fail(here(), "a key in quotes");
  key_ = position_;
  const size_t begin = position_ + 1;
  key = scan_string();
  Frame& frame = frames_.back();
  // A key without escapes is what stands in the text.
  const std::string_view plain = text_.substr(begin, position_ - 1 - begin);
  frame.keys.push_back(plain == key ? plain : frame.decoded.emplace_front(key));
  skip_space();
  if (!at(':')) fail(here(), "a colon after the key");
  ++position_;
  return true;
}

void JsonReader::end() {
  skip_space();
  if (position_ != text_.size()) fail(here(), "nothing after the value");
}

namespace {

// ---- Writing --------------------------------------------------------------------------------------------------------------

class Writer {
 public:
  explicit Writer(const std::string& where) : where_(where) {}

  void value(const Json& json, const std::string& path, int depth) {
    if (depth >= kJsonDepth && (json.if_array() != nullptr || json.if_object() != nullptr)) {
      fail(path, concat(name_of(json.type()), " inside ", depth, " others"), concat("at most ", kJsonDepth, " levels"));
    }
    if (const bool* boolean = json.if_boolean()) {
      out_ += *boolean ? "true" : "false";
    } else if (const int64_t* integer = json.if_integer()) {
      number(*integer);
    } else if (const double* real = json.if_double()) {
      if (!std::isfinite(*real)) fail(path, std::isnan(*real) ? "NaN" : "an infinity", "a finite number");
      const size_t begin = out_.size();
      number(*real);
      if (out_.find_first_of(".e", begin) == std::string::npos) out_ += ".0";
    } else if (const std::string* text = json.if_string()) {
      string(*text, path);
    } else if (const Json::Array* items = json.if_array()) {
      out_ += '[';
      for (size_t i = 0; i < items->size(); ++i) {
        if (i > 0) out_ += ',';
        std::string step = path;
        append_step(step, i);
        value((*items)[i], step, depth + 1);
      }
      out_ += ']';
    } else if (const Json::Object* members = json.if_object()) {
      out_ += '{';
      for (size_t i = 0; i < members->size(); ++i) {
        if (i > 0) out_ += ',';
        string((*members)[i].key, path);
        out_ += ':';
        std::string step = path;
        append_step(step, (*members)[i].key);
        value((*members)[i].value, step, depth + 1);
      }
      out_ += '}';
    } else {
      out_ += "null";
    }
  }

  std::string take() { return std::move(out_); }

 private:
  [[noreturn]] void fail(const std::string& path, const std::string& came, const std::string& expected) {
    throw ValueError(
        concat(join(where_, path), ": ", came, "; expected ", expected, "; JSON cannot hold it, so write something else"));
  }

  template <typename Number>
  void number(Number value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out_.append(digits, end);
  }

  void string(std::string_view text, const std::string& path) {
    if (!is_utf8(text)) fail(path, "a string that is not UTF-8", "UTF-8");
    append_json_string(out_, text);
  }

  const std::string& where_;
  std::string out_;
};

}  // namespace

std::string dump_json(const Json& value, const std::string& where) {
  Writer writer(where);
  writer.value(value, "", 0);
  return writer.take();
}

}  // namespace fastnn
