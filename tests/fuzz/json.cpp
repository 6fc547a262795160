// Any bytes as JSON: the parser accepts or throws ValueError, and what it accepts is the same after writing and reading.
#include <cstdlib>
#include <string_view>

#include "base/errors.h"
#include "file/json.h"

using namespace fastnn;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Every accessor at every place: the right one answers, the others throw.
void visit(const JsonRef& ref) {
  int answers = ref.is_null();
  const auto attempt = [&](auto accessor) {
    try {
      accessor();
      ++answers;
    } catch (const ValueError&) {
    }
  };
  attempt([&] { ref.boolean(); });
  attempt([&] { ref.string(); });
  attempt([&] { ref.number(); });
  attempt([&] { ref.size(); });
  attempt([&] { ref.find("a"); });
  require(answers == 1);
  attempt([&] { ref.integer(0, 9); });
  if (const Json::Array* items = ref.value().if_array()) {
    for (size_t i = 0; i < items->size(); ++i) visit(ref[i]);
  }
  if (const Json::Object* members = ref.value().if_object()) {
    for (const Json::Member& member : *members) visit(ref[member.key]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Json value;
  try {
    value = parse_json(text, "fuzz", {.bytes = 1 << 20});
  } catch (const ValueError&) {
    return 0;
  }
  visit(JsonRef(value, "fuzz"));
  const std::string written = dump_json(value, "fuzz");
  const Json again = parse_json(written, "fuzz", {.bytes = 8 << 20});
  require(again == value && dump_json(again, "fuzz") == written);
  return 0;
}
