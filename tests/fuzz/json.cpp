// Any bytes as JSON: the parser accepts or throws ValueError, and what it accepts is the same after writing and reading.
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/errors.h"
#include "file/json.h"

using namespace fastnn;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Every accessor at every place: the right one answers, the others throw. The value that they give.
Json visit(const JsonRef& ref) {
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
  switch (ref.type()) {
    case Json::Type::null:
      return {};
    case Json::Type::boolean:
      return ref.boolean();
    case Json::Type::number:
      return std::visit([](auto number) { return Json(number); }, ref.numeric());
    case Json::Type::string:
      return ref.string();
    case Json::Type::array: {
      Json items = Json::array();
      ref.for_each_item([&](const JsonRef& item) { items.append(visit(item)); });
      require(items.if_array()->size() == ref.size());
      return items;
    }
    case Json::Type::object:
      break;
  }
  Json members = Json::object();
  ref.for_each_member([&](const std::string& key, const JsonRef& member) {
    require(ref.find(key).has_value());
    members.set(key, visit(member));
  });
  return members;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::optional<JsonText> json;
  try {
    json.emplace(text, "fuzz", JsonLimits{.bytes = 1 << 20});
  } catch (const ValueError&) {
    return 0;
  }
  const Json value = visit(json->root());
  const std::string written = dump_json(value, "fuzz");
  const JsonText again(written, "fuzz", {.bytes = 8 << 20});
  require(visit(again.root()) == value);
  return 0;
}
