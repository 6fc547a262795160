// Reads handwritten digits: mnist MODEL IMAGES.idx [BATCH]
#include <fastnn/fastnn.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>

// The pixels of a file of images in MNIST's format IDX, which must have the size that the model was trained on.
std::vector<float> read_images(const std::string& path, const std::vector<int64_t>& shape) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<unsigned char> bytes{std::istreambuf_iterator(file), {}};
  const auto number = [&](size_t at) -> size_t {
    return size_t{bytes[at]} << 24 | size_t{bytes[at + 1]} << 16 | size_t{bytes[at + 2]} << 8 | bytes[at + 3];
  };
  constexpr size_t kHeader = 16;
  if (bytes.size() < kHeader || number(0) != 0x803) throw std::runtime_error(path + ": not an IDX file of images");
  if (shape.size() < 3 || number(8) != size_t(shape[1]) || number(12) != size_t(shape[2])) {
    throw std::runtime_error(path + ": images of another size than the model's");
  }
  if (bytes.size() - kHeader != number(4) * number(8) * number(12)) throw std::runtime_error(path + ": cut short");
  return {bytes.begin() + kHeader, bytes.end()};
}

int main(int argc, char** argv) try {
  if (argc < 3 || argc > 4) throw std::runtime_error("usage: mnist MODEL IMAGES.idx [BATCH]");
  const int64_t batch = argc > 3 ? std::stoll(argv[3]) : 32;
  if (batch < 1) throw std::runtime_error("BATCH: expected 1 or more");

  const fastnn::Model model(argv[1]);
  const std::vector<float> images = read_images(argv[2], model.inputs().at(0).shape);
  const size_t image = model.plan(1).inputs()[0].size(), count = images.size() / image;

  for (size_t first = 0; first < count; first += size_t(batch)) {
    const size_t now = std::min(size_t(batch), count - first);
    const fastnn::Plan plan = model.plan(int64_t(now));  // kept by the model: only the last, smaller batch is planned anew
    std::vector<float> scores(plan.outputs()[0].size());
    plan.run(std::span(images).subspan(first * image, now * image), scores);
    const size_t classes = scores.size() / now;
    for (size_t i = 0; i < now; ++i) {
      const auto best = std::max_element(&scores[i * classes], &scores[i * classes] + classes);
      std::printf("%d%c", int(best - &scores[i * classes]), i + 1 < now ? ' ' : '\n');
    }
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "mnist: %s\n", error.what());
  return 1;
}
