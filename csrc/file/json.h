// JSON (RFC 8259): a strict parser, typed access to what it read, a value to build and its writer.
//
// What it accepts: the grammar of RFC 8259 and nothing beyond it. Refused as well are text longer than the caller's limit,
// arrays and objects nested deeper than its limit, anything that is not UTF-8 (overlong forms, surrogates, numbers past
// U+10FFFF), escapes that stand for half a surrogate pair, a key that occurs twice in one object, and bytes after the value.
// Numbers: one without fraction and exponent is an integer and exact as int64; one beyond int64 is a double, and refused where
// an integer is asked for; one beyond double is refused.
// Writes: doubles with the fewest digits that read back to the same bits, and always with a fraction or an exponent, so that
// a double stays one. NaN, infinities and strings that are not UTF-8 are refused. No locale takes part.
// Memory: JsonReader allocates for the strings it returns and some 50 bytes for each key of the objects that are open. JsonText
// adds 8 bytes for each value and each key. A value and its comma have 2 bytes of text at least, a key 5 more: whatever the text,
// reading takes at most ten times its size.
// Errors: ValueError, with `where` (the caller's name for the text), the path and the byte:
//     model.fastnn: graph.nodes[3].op (byte 93): a number; expected a string; write the file again
#pragma once

#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fastnn {

constexpr int kJsonDepth = 64;

struct JsonLimits {
  size_t bytes;  // of text
  int depth = kJsonDepth;
};

// ---- Values to be written -------------------------------------------------------------------------------------------------

class Json {
 public:
  enum class Type : uint8_t { null, boolean, number, string, array, object };
  struct Member;
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;  // in the order of insertion; no key twice

  // Everything that makes or ends a Json is defined in json.cpp, where Member is complete.
  Json();  // null
  Json(bool value);
  Json(int value);
  Json(int64_t value);
  Json(double value);
  Json(const char* value);
  Json(std::string value);
  Json(std::string_view value);
  Json(Array items);
  Json(Object members);
  template <typename T>
  Json(T*) = delete;  // a pointer would become `true`
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();

  static Json array();
  static Json object();

  Type type() const;
  // The value itself, or nullptr if it is of another type.
  const bool* if_boolean() const { return std::get_if<bool>(&value_); }
  const int64_t* if_integer() const { return std::get_if<int64_t>(&value_); }
  const double* if_double() const { return std::get_if<double>(&value_); }
  const std::string* if_string() const { return std::get_if<std::string>(&value_); }
  const Array* if_array() const { return std::get_if<Array>(&value_); }
  const Object* if_object() const { return std::get_if<Object>(&value_); }

  // Building; ValueError if this is no array or no object.
  void append(Json item);
  void set(std::string_view key, Json value);  // replaces what the key had

  bool operator==(const Json&) const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

struct Json::Member {
  std::string key;
  Json value;
  bool operator==(const Member&) const = default;
};

// Without any white space, nested as deep as the parser accepts. `where` names the value in errors.
std::string dump_json(const Json& value, const std::string& where);

// text in quotes, with what JSON wants escaped and no more; text must be UTF-8.
void append_json_string(std::string& out, std::string_view text);
// The same for people: at most `limit` bytes of the text, then "...".
std::string in_quotes(std::string_view text, size_t limit = 60);

bool is_utf8(std::string_view text);

// ---- Typed access to what came from outside ---------------------------------------------------------------------------------

class JsonReader;
class JsonRef;

// A text that is one valid value, and where the values within it stand. Numbers and strings are taken from the text when they
// are asked for.
class JsonText {
 public:
  // Refers to the text, which has to outlive it. `where` names it in errors.
  JsonText(std::string_view text, std::string where, const JsonLimits& limits);
  JsonRef root() const;

 private:
  friend class JsonRef;
  struct Place {
    uint32_t at;      // of the first byte
    uint32_t behind;  // the place of what comes after this value and all that is inside it
  };
  void read(JsonReader& reader);

  std::string_view text_;
  std::string where_;
  std::vector<Place> places_;  // as the text orders them; the place of a key stands before that of its value
};

// A value and the path it stands at. Every accessor throws ValueError, with the path, when something else is there. Refers to
// the JsonText, which has to outlive it.
class JsonRef {
 public:
  Json::Type type() const;
  bool is_null() const { return type() == Json::Type::null; }

  bool boolean() const;
  std::variant<int64_t, double> numeric() const;
  int64_t integer() const;
  int64_t integer(int64_t lowest, int64_t highest) const;
  double number() const;  // integers too
  std::string string() const;

  size_t size() const;  // of an array
  template <typename F>
  void for_each_item(F&& f) const;  // of an array: f(item)
  template <typename F>
  void for_each_member(F&& f) const;                                     // of an object: f(key, value)
  JsonRef operator[](std::string_view key) const;                        // of an object
  std::optional<JsonRef> find(std::string_view key) const;               // of an object; nullopt where the key is missing
  void expect_only(std::initializer_list<std::string_view> keys) const;  // an object without other keys

  std::string place() const;  // where it stands, as errors say it
  [[noreturn]] void fail(const std::string& came, const std::string& expected) const;

 private:
  friend class JsonText;
  JsonRef(const JsonText& text, size_t place, std::string path) : text_(&text), place_(place), path_(std::move(path)) {}
  void expect_type(Json::Type type) const;
  size_t behind(size_t place) const { return text_->places_[place].behind; }
  JsonReader reader(size_t place) const;
  JsonRef step(size_t place, size_t index) const;
  JsonRef step(size_t place, std::string_view key) const;

  const JsonText* text_;
  size_t place_;
  std::string path_;
};

template <typename F>
void JsonRef::for_each_item(F&& f) const {
  expect_type(Json::Type::array);
  size_t index = 0;
  for (size_t at = place_ + 1; at < behind(place_); at = behind(at)) f(step(at, index++));
}

template <typename F>
void JsonRef::for_each_member(F&& f) const {
  expect_type(Json::Type::object);
  for (size_t at = place_ + 1; at < behind(place_); at = behind(at + 1)) {
    const std::string key = step(at, 0).string();
    f(key, step(at + 1, key));
  }
}

// ---- Reading without building values ----------------------------------------------------------------------------------------

// Walks through a text value by value, in its order. That a key occurs twice is found when its object ends.
//
//     reader.begin_object();
//     for (std::string key; reader.next_key(key);) {  // then exactly one value
//       if (key == "shape") {
//         reader.begin_array();
//         while (reader.next_item()) shape.push_back(reader.integer());
//       } else ...
//     }
//     reader.end();
class JsonReader {
 public:
  // Refers to the text, which has to outlive it.
  JsonReader(std::string_view text, std::string where, const JsonLimits& limits);

  Json::Type type();  // of the value that comes next

  void null();
  bool boolean();
  std::variant<int64_t, double> numeric();
  int64_t integer();
  double number();  // integers too
  std::string string();
  void begin_object();
  bool next_key(std::string& key);  // false: the object has ended
  void begin_array();
  bool next_item();  // false: the array has ended
  void end();        // nothing but white space may be left

  // ValueError about the value that was read last or comes next.
  [[noreturn]] void fail(const std::string& came, const std::string& expected) const;

 private:
  friend class JsonText;
  friend class JsonRef;
  JsonReader(std::string_view valid, size_t position) : text_(valid), position_(position) {}

  struct Frame {
    Json::Type type{};
    size_t count = 0;                        // items or members begun
    std::vector<std::string_view> keys;      // of the members; into the text, or into
    std::forward_list<std::string> decoded;  // those that had escapes
  };

  void skip_space();
  bool at(char c) const { return position_ < text_.size() && text_[position_] == c; }
  bool at_digit() const { return position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9'; }
  std::string here() const;  // what the next byte is, for errors
  void begin(Json::Type type);
  void expect_type(Json::Type type);
  void word(std::string_view word);
  void digits();
  bool next(char close);
  void expect_distinct(Frame object);
  std::string scan_string();
  void scan_escape(std::string& out);
  uint32_t scan_hex4();

  std::string_view text_;
  std::string where_;
  int depth_limit_ = 0;
  size_t position_ = 0;
  size_t key_ = 0;             // where the last key began
  std::vector<Frame> frames_;  // the arrays and objects that are open
};

}  // namespace fastnn
