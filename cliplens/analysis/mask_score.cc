#include "cliplens/analysis/mask_score.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

// A pixel's value in fp32 and whether it is object, in one number whose order is the value's.
std::uint32_t Keyed(float value, bool object) {
  return (std::bit_cast<std::uint32_t>(value) << 1) | (object ? 1U : 0U);
}
float ValueOf(std::uint32_t keyed) { return std::bit_cast<float>(keyed >> 1); }

// In ascending order. Values lie in 0…1, so 31 bits are in use.
void SortKeyed(std::vector<std::uint32_t>& keys) {
  constexpr int kBits = 11;
  std::vector<std::uint32_t> other(keys.size());
  for (int shift = 0; shift < 31; shift += kBits) {
    std::array<std::size_t, (std::size_t{1} << kBits) + 1> begin = {};
    const auto digit = [&](std::uint32_t key) {
      return std::size_t{(key >> shift) & ((1U << kBits) - 1)};
    };
    for (const std::uint32_t key : keys) ++begin[digit(key) + 1];
    for (std::size_t d = 1; d < begin.size(); ++d) begin[d] += begin[d - 1];
    for (const std::uint32_t key : keys) other[begin[digit(key)]++] = key;
    keys.swap(other);
  }
}

// Of the scores (1 − m, m). Every pixel has one right half, so positives are as many as pixels.
//   keys: of the pixels whose m is not 0; `zeros`: how many of the others are background and object
double AveragePrecision(std::vector<std::uint32_t> keys, std::array<Index, 2> zeros) {
  SortKeyed(keys);
  const auto n = keys.size();
  // Pixels of 0, half of a usual map, are not sorted: they come first as background, with a score
  // of 1, and last as object, with a score of 0.
  const auto equal = ToSize(zeros[0] + zeros[1]);
  if (n + equal == 0) return 0;
  // The scores between, in descending order: the object's come from the end of the list, the
  // background's from its beginning. Without branches, which could not be predicted.
  std::vector<float> score(2 * n + 1);
  std::vector<std::uint8_t> truth(2 * n);
  std::size_t objects = n;
  std::size_t backgrounds = 0;
  for (std::size_t t = 0; t < 2 * n; ++t) {
    const std::uint32_t object_key = keys[objects > 0 ? objects - 1 : 0];
    const std::uint32_t background_key = keys[std::min(backgrounds, n - 1)];
    const float object = ValueOf(object_key);
    const float background = 1.0f - ValueOf(background_key);
    const bool take = backgrounds == n || (objects > 0 && object >= background);
    score[t] = take ? object : background;
    truth[t] = static_cast<std::uint8_t>((take ? object_key : ~background_key) & 1U);
    objects -= take ? 1 : 0;
    backgrounds += take ? 0 : 1;
  }
  score[2 * n] = equal > 0 ? 0.0f : -1.0f;
  double precision_sum = 0;
  double before = 0;
  double positives = 0;
  const auto close = [&](std::size_t counted) {
    if (positives == before) return;  // half of the time, for long stretches
    precision_sum += (positives - before) * positives / static_cast<double>(counted);
    before = positives;
  };
  positives += static_cast<double>(zeros[0]);
  if (equal > 0 && score[0] != 1.0f) close(equal);
  for (std::size_t t = 0; t < 2 * n; ++t) {
    positives += truth[t];
    if (score[t] != score[t + 1]) close(equal + t + 1);  // equal scores go together
  }
  positives += static_cast<double>(zeros[1]);
  if (equal > 0) close(2 * (equal + n));
  return precision_sum / static_cast<double>(equal + n);
}

}  // namespace

const char* NameOf(MapCut cut) { return cut == MapCut::kHalf ? "half" : "mean"; }

ScaledMap ScaleMap(ArrayView<const double, 2> map, MapCut cut) {
  const double least = cut == MapCut::kMean ? 0.0 : std::numeric_limits<double>::lowest();
  ScaledMap scaled;
  scaled.values = Array<double, 2>({map.dim(0), map.dim(1)});
  const auto [lowest, highest] = std::ranges::minmax_element(map.flat());
  const double low = std::max(*lowest, least);
  const double high = std::max(*highest, least);
  if (high <= low) {
    scaled.empty = true;
    return scaled;
  }
  double sum = 0;
  std::ranges::transform(map.flat(), scaled.values.flat().begin(), [&](double v) {
    const double value = (std::max(v, least) - low) / (high - low);
    sum += value;
    return value;
  });
  scaled.threshold = cut == MapCut::kMean ? sum / static_cast<double>(map.size()) : 0.5;
  return scaled;
}

PictureSegmentation CompareWithMask(const ScaledMap& map, const MaskPixels& mask) {
  if (map.values.shape() != mask.shape()) {
    throw Error(ErrorCode::kInvalidArgument, "a map of {} x {} and a mask of {} x {} pixels",
                map.values.dim(0), map.values.dim(1), mask.dim(0), mask.dim(1));
  }
  PictureSegmentation result;
  result.empty = map.empty;
  std::vector<std::uint32_t> keys;
  keys.reserve(ToSize(mask.size()));
  // [mask][map]
  std::array<std::array<Index, 2>, 2> count = {};
  std::array<Index, 2> zeros = {};
  const std::span<const double> values = map.values.flat();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int8_t truth = mask.flat()[i];
    if (truth < 0) continue;
    ++count[truth == 1 ? 1 : 0][values[i] > map.threshold ? 1 : 0];
    if (const auto value = static_cast<float>(values[i]); value > 0) {
      keys.push_back(Keyed(value, truth == 1));
    } else {
      ++zeros[truth == 1 ? 1 : 0];
    }
  }
  result.right = count[0][0] + count[1][1];
  for (std::size_t c = 0; c < 2; ++c) {
    result.counted += count[c][0] + count[c][1];
    result.intersection[c] = count[c][c];
    result.union_[c] = count[c][0] + count[c][1] + count[1 - c][c];
  }
  result.average_precision = AveragePrecision(std::move(keys), zeros);
  return result;
}

}  // namespace cliplens
