// host MODEL: what the headers promise, on a model with one input (batch, 12, 12, 1) and one output (batch, 3).
#include <fastnn/fastnn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <new>
#include <optional>
#include <string_view>
#include <thread>

namespace {

std::atomic<long> allocations{0};

void require(bool holds, const char* what, int line) {
  if (holds) return;
  std::fprintf(stderr, "host.cpp:%d: %s\n", line, what);
  std::exit(1);
}
#define REQUIRE(condition) require(condition, #condition, __LINE__)

// f throws an Error whose message has these words in this order.
template <typename Error>
void refuses(const std::function<void()>& f, std::initializer_list<std::string_view> words) {
  try {
    f();
  } catch (const Error& error) {
    size_t at = 0;
    for (std::string_view word : words) {
      at = std::string_view(error.what()).find(word, at);
      if (at == std::string_view::npos) {
        std::fprintf(stderr, "%s: no '%.*s'\n", error.what(), static_cast<int>(word.size()), word.data());
        std::exit(1);
      }
    }
    return;
  }
  require(false, "nothing was thrown", __LINE__);
}

std::vector<float> images(int64_t count) {
  std::vector<float> x(static_cast<size_t>(count) * 144);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7919 % 1000) / 1000;
  return x;
}

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

int main(int, char** argv) {
  using fastnn::TypeError, fastnn::ValueError;
  const std::string path = argv[1];
  const auto start = std::chrono::steady_clock::now();
  std::optional<fastnn::Model> model(path);
  const std::vector<float> x = images(5);
  std::vector<float> y(15, -1);
  model->plan(5).run(x, y);
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  std::printf("load, plan and first run: %.2f ms\n", ms);

  // What it says about itself.
  REQUIRE(model->inputs().size() == 1 && model->outputs().size() == 1);
  REQUIRE(model->inputs()[0].name == "x" && model->inputs()[0].dtype == fastnn::DType::float32);
  REQUIRE((model->inputs()[0].shape == std::vector<int64_t>{-1, 12, 12, 1}));
  REQUIRE((model->outputs()[0].shape == std::vector<int64_t>{-1, 3}));
  REQUIRE(model->lengths() == std::vector<std::string>{"batch"});
  REQUIRE(!fastnn::version().empty());
  const fastnn::Plan plan = model->plan({{"batch", 5}});
  REQUIRE(plan.inputs()[0].size() == 720 && plan.outputs()[0].size() == 15);
  refuses<ValueError>([&] { (void)model->inputs()[0].size(); }, {"'x'", "(-1, 12, 12, 1)", "; expected", "; ask a plan"});

  // Every way to pass memory gives the same bits, for any number of threads, also of a batch of one.
  const std::vector<float> expected = y;
  const auto same = [&] { return std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0; };
  for (int threads : {1, 2, 4}) {
    fastnn::set_num_threads(threads);
    REQUIRE(fastnn::num_threads() == threads);
    y.assign(15, -1);
    plan.run(std::span<const float>(x), std::span(y));
    REQUIRE(same());
  }
  y.assign(15, -1);
  plan.run({x}, {y});
  REQUIRE(same());
  y.assign(15, -1);
  plan.run({x.data(), x.size()}, {y.data(), y.size()});
  REQUIRE(same());
  y.assign(15, -1);
  for (size_t i = 0; i < 5; ++i) {
    model->plan(1).run(std::span(x).subspan(i * 144, 144), std::span(y).subspan(i * 3, 3));
  }
  REQUIRE(same());
  model->plan(0).run(std::vector<float>(), std::span<float>());

  // A model from memory; plans outlive their model.
  {
    std::ifstream file(path, std::ios::binary);
    std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    const fastnn::Plan copy = fastnn::Model::from_memory(std::as_bytes(std::span(bytes))).plan(5);
    bytes.assign(bytes.size(), '?');
    y.assign(15, -1);
    copy.run(x, y);
    REQUIRE(same());
    refuses<ValueError>([&] { fastnn::Model::from_memory(std::as_bytes(std::span(bytes)), "my bytes"); }, {"my bytes: "});
  }
  model.reset();
  y.assign(15, -1);
  plan.run(x, y);
  REQUIRE(same());

  // Later runs allocate nothing.
  const long before = allocations;
  for (int i = 0; i < 20; ++i) plan.run(x, y);
  REQUIRE(allocations == before);

  // Many at once.
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  const fastnn::Model shared(path);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<float> mine(15);
      for (int i = 0; i < 50; ++i) {
        (i % 2 ? plan : shared.plan(5)).run(x, mine);
        wrong += std::memcmp(mine.data(), expected.data(), mine.size() * sizeof(float)) != 0;
        (void)shared.plan(t + i % 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == 0);

  // What does not fit is refused, and nothing is written.
  y = expected;
  std::vector<float> small(14), large(721);
  std::vector<double> doubles(720);
  std::vector<int32_t> integers(15);
  refuses<ValueError>([&] { plan.run(large, y); }, {"run: input 0 'x'", "721", "; expected 720 of float32", "(5, 12, 12, 1)"});
  refuses<ValueError>([&] { plan.run(x, small); }, {"run: output 0", "14", "; expected 15", "(5, 3)"});
  refuses<TypeError>([&] { plan.run(doubles, y); }, {"run: input 0 'x'", "float64", "; expected 720 of float32", "; convert"});
  refuses<TypeError>([&] { plan.run(x, integers); }, {"run: output 0", "int32", "; expected 15 of float32"});
  refuses<ValueError>([&] { plan.run({x, x}, {y}); }, {"run: 2 inputs; expected 1"});
  refuses<ValueError>([&] { plan.run({x}, {}); }, {"run: 0 outputs; expected 1"});
  refuses<ValueError>([&] { plan.run({static_cast<const float*>(nullptr), 720}, y); }, {"run: input 0 'x': null"});
  refuses<ValueError>([&] { plan.run(std::vector<float>(), y); }, {"0 elements"});
  large.resize(730);
  refuses<ValueError>([&] { plan.run(std::span(large).first(720), std::span(large).subspan(715, 15)); },
                      {"run: output 0 overlaps"});
  refuses<ValueError>([&] { (void)shared.plan(-1); }, {"plan: batch=-1; expected 0 or more"});
  refuses<ValueError>([&] { (void)shared.plan({{"time", 1}}); },
                      {"plan: time=1; expected the free lengths of the model, batch"});
  refuses<ValueError>([&] { (void)shared.plan(); }, {"plan: 0 lengths; expected the free ones of the model, batch"});
  refuses<ValueError>([&] { (void)shared.plan(int64_t{1} << 60); }, {"; expected at most", "; use smaller arrays"});
  refuses<ValueError>([] { fastnn::set_num_threads(0); }, {"; expected"});
  refuses<fastnn::IoError>([&] { fastnn::Model(path + ".not"); }, {path + ".not: No such file", "; expected"});
  REQUIRE(same());
  std::printf("passed\n");
}
