#include "cliplens/model/rotary.h"

#include <cmath>

namespace cliplens {

Array<float, 2> RotaryTable(const RotaryConfig& config, const TokenLayout& layout,
                            Index head_width) {
  constexpr double kTemperature = 10'000;
  const Index pairs = head_width / 2;
  const Index bands = pairs / 2;  // of each axis
  const double stretch = static_cast<double>(config.reference) / static_cast<double>(layout.grid);
  Array<float, 2> table({layout.patches(), head_width});
  for (Index y = 0; y < layout.grid; ++y) {
    for (Index x = 0; x < layout.grid; ++x) {
      const std::span<float> row = table.row(y * layout.grid + x);
      for (Index pair = 0; pair < 2 * bands; ++pair) {
        const bool first = pair < bands;
        const Index place = first == config.x_first ? x : y;
        const Index band = pair % bands;
        const double frequency =
            std::pow(kTemperature, -static_cast<double>(band) / static_cast<double>(bands));
        const double angle = (static_cast<double>(place) + config.offset) * stretch * frequency;
        At(row, 2 * pair) = static_cast<float>(std::cos(angle));
        At(row, 2 * pair + 1) = static_cast<float>(std::sin(angle));
      }
    }
  }
  return table;
}

void Rotate(const Array<float, 2>& table, Index prefix, const RotateArgs& args) {
  const Index width = table.dim(1);
  for (Index i = prefix; i < args.rows; ++i) {
    const std::span<const float> turn = table.row(i - prefix);
    for (Index h = 0; h < args.heads; ++h) {
      float* x = args.x + i * args.stride + h * width;
      for (Index k = 0; k + 1 < width; k += 2) {
        const float cosine = At(turn, k);
        const float sine = At(turn, k + 1);
        const float a = x[k];
        const float b = x[k + 1];
        x[k] = a * cosine - b * sine;
        x[k + 1] = b * cosine + a * sine;
      }
    }
  }
}

}  // namespace cliplens
