#include "cliplens/model/preprocess.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>

#include "cliplens/base/error.h"

namespace cliplens {

namespace {

constexpr Index kMaxImageSize = 16384;

// Pillow's weights are whole numbers in units of 2^-22: 8 bits of result and 2 of headroom stay
// free.
constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr std::uint32_t kHalf = std::uint32_t{1} << (kPrecisionBits - 1);

// A weight w is kept as w = high * 2^15 + low with 0 <= low < 2^15. Both parts fit 16 bits, so a
// sum of products is the multiply-add of 16-bit pairs that every processor has, and stays exact.
constexpr int kLowBits = 15;

// Terms whose sum of 255 * (2^15 - 1) each still fits 31 bits.
constexpr Index kBlock = 256;

// Sums run over a multiple of this, so that the compiler needs no remainder.
constexpr Index kLanes = 8;

constexpr Index kMaxWeights = Index{1} << 24;

constexpr Index RoundUp(Index n) { return (n + kLanes - 1) / kLanes * kLanes; }

double Bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// The cubic with a = -1/2, in Pillow's order of operations.
double Bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

// Part of an axis of the resized picture: positions [begin, end).
struct Range {
  Index begin;
  Index end;
  Index size() const { return end - begin; }
};

// The weighted sums along one axis that give the positions of a range: position range.begin + o is
// the sum over t < count[o] of weight[o * width + t] * input[first[o] + t].
struct Filter {
  Range range;
  Index width;  // distance of rows of weights, a multiple of kLanes; weights past `count` are 0
  std::vector<Index> first;
  std::vector<Index> count;
  std::vector<double> exact;        // as computed, for 16-bit samples
  std::vector<std::int32_t> whole;  // in units of 2^-22, for bytes
  std::vector<std::int16_t> high;
  std::vector<std::int16_t> low;

  // Input positions that are used at all.
  Range used() const { return {first.front(), first.back() + count.back()}; }
};

// Pillow's precompute_coeffs for `in` pixels resized to `out`.
Filter MakeFilter(Index in, Index out, Range range, Interpolation interpolation) {
  // Pillow passes the extent through float32.
  const double scale = static_cast<double>(static_cast<float>(in)) / static_cast<double>(out);
  const double stretch = std::max(scale, 1.0);
  const double support = (interpolation == Interpolation::kBicubic ? 2.0 : 1.0) * stretch;
  const double inverse = 1.0 / stretch;
  Filter filter;
  filter.range = range;
  filter.width = RoundUp(2 * static_cast<Index>(std::ceil(support)) + 1);
  if (filter.width > kMaxWeights / range.size()) {
    throw Error(ErrorCode::kExhausted,
                "resizing {} pixels to {}: {} filters of {} weights are needed, the limit is {} "
                "in all; cut the picture up",
                in, out, range.size(), filter.width, kMaxWeights);
  }
  const auto size = ToSize(range.size());
  filter.first.resize(size);
  filter.count.resize(size);
  filter.exact.resize(size * ToSize(filter.width));
  for (Index o = 0; o < range.size(); ++o) {
    const double center = (static_cast<double>(range.begin + o) + 0.5) * scale;
    const Index first = std::max<Index>(static_cast<Index>(center - support + 0.5), 0);
    const Index last = std::min(static_cast<Index>(center + support + 0.5), in);
    double* weight = filter.exact.data() + o * filter.width;
    double sum = 0.0;
    for (Index t = 0; t < last - first; ++t) {
      const double x = (static_cast<double>(t + first) - center + 0.5) * inverse;
      weight[t] = interpolation == Interpolation::kBicubic ? Bicubic(x) : Bilinear(x);
      sum += weight[t];
    }
    if (sum != 0.0) {
      for (Index t = 0; t < last - first; ++t) weight[t] /= sum;
    }
    At(filter.first, o) = first;
    At(filter.count, o) = last - first;
  }
  return filter;
}

// Rounds the weights for bytes.
void MakeWhole(Filter* filter) {
  filter->whole.resize(filter->exact.size());
  filter->high.resize(filter->exact.size());
  filter->low.resize(filter->exact.size());
  for (std::size_t i = 0; i < filter->exact.size(); ++i) {
    const double scaled = filter->exact[i] * (1 << kPrecisionBits);
    const auto w = static_cast<std::int32_t>(scaled + (filter->exact[i] < 0 ? -0.5 : 0.5));
    filter->whole[i] = w;
    filter->high[i] = static_cast<std::int16_t>(w >> kLowBits);
    filter->low[i] = static_cast<std::int16_t>(w & ((1 << kLowBits) - 1));
  }
  filter->exact = {};
}

std::uint8_t Clip8(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

// a * b / 255, rounded, for bytes; Pillow's form.
std::uint8_t MulDiv255(unsigned a, unsigned b) {
  const unsigned t = a * b + 128;
  return static_cast<std::uint8_t>(((t >> 8) + t) >> 8);
}

// Spreads a row of n pixels over C planes of 16-bit numbers `stride` apart.
template <int C>
void SpreadRow(const std::uint8_t* __restrict in, Index n, std::int16_t* __restrict planes,
               Index stride) {
  for (Index x = 0; x < n; ++x, in += C) {
    for (int c = 0; c < C; ++c) planes[c * stride + x] = in[c];
  }
}

// One row through the horizontal filter: planes of bytes (as 16-bit numbers) that begin at input
// column `origin`, out as [positions, C].
template <int C>
void FilterRow(const std::int16_t* __restrict planes, Index stride, Index origin,
               const Filter& filter, std::uint8_t* __restrict out) {
  const Index positions = filter.range.size();
  for (Index o = 0; o < positions; ++o, out += C) {
    const std::int16_t* __restrict high = filter.high.data() + o * filter.width;
    const std::int16_t* __restrict low = filter.low.data() + o * filter.width;
    const std::int16_t* __restrict in = planes + At(filter.first, o) - origin;
    const Index count = RoundUp(At(filter.count, o));
    std::uint32_t sums[C];
    for (int c = 0; c < C; ++c) sums[c] = kHalf;
    for (Index begin = 0; begin < count; begin += kBlock) {
      const Index end = std::min(begin + kBlock, count);
      std::int32_t sum_high[C] = {};
      std::int32_t sum_low[C] = {};
      for (Index t = begin; t < end; ++t) {
        for (int c = 0; c < C; ++c) {
          sum_high[c] += in[c * stride + t] * high[t];
          sum_low[c] += in[c * stride + t] * low[t];
        }
      }
      for (int c = 0; c < C; ++c) {
        sums[c] += (static_cast<std::uint32_t>(sum_high[c]) << kLowBits) +
                   static_cast<std::uint32_t>(sum_low[c]);
      }
    }
    for (int c = 0; c < C; ++c) out[c] = Clip8(static_cast<std::int32_t>(sums[c]));
  }
}

// Undoes the multiplication by alpha, in place, for [count, C] bytes with alpha last.
template <int C>
void DivideByAlpha(std::uint8_t* pixels, Index count) {
  for (Index i = 0; i < count; ++i, pixels += C) {
    const unsigned alpha = pixels[C - 1];
    if (alpha == 0 || alpha == 255) continue;
    for (int c = 0; c < C - 1; ++c) {
      pixels[c] = static_cast<std::uint8_t>(std::min(255u * pixels[c] / alpha, 255u));
    }
  }
}

std::uint16_t Clip16(double sum) {
  const int rounded = static_cast<int>(sum + (sum >= 0 ? 0.5 : -0.5));
  return static_cast<std::uint16_t>(std::clamp(rounded, 0, 65535));
}

// A stage of the resize gives rows of samples by number, in growing order; a row is valid until the
// next call. Stages are put one on another, so no intermediate picture is ever whole.
template <typename T>
using RowSource = std::function<const T*(Index y)>;

// Pixels [columns.begin, columns.end) of a picture of bytes. With alpha in the last channel, the
// others are multiplied by it.
template <int C, bool kAlpha>
RowSource<std::uint8_t> ReadBytes(const Image& image, Range columns) {
  const std::uint8_t* pixels = image.pixels.data() + columns.begin * C;
  const Index stride = image.width * C;
  if constexpr (!kAlpha) {
    return [=](Index y) { return pixels + y * stride; };
  } else {
    return [=, row = std::vector<std::uint8_t>(ToSize(columns.size() * C))](
               Index y) mutable -> const std::uint8_t* {
      const std::uint8_t* in = pixels + y * stride;
      std::uint8_t* out = row.data();
      for (Index x = 0; x < columns.size(); ++x, in += C, out += C) {
        for (int c = 0; c < C - 1; ++c) out[c] = MulDiv255(in[c], in[C - 1]);
        out[C - 1] = in[C - 1];
      }
      return row.data();
    };
  }
}

// The same of a 16-bit grey picture.
RowSource<std::uint16_t> ReadGray16(const Image& image, Range columns) {
  const std::uint8_t* pixels = image.pixels.data() + columns.begin * 2;
  const Index stride = image.width * 2;
  return [=, row = std::vector<std::uint16_t>(ToSize(columns.size()))](
             Index y) mutable -> const std::uint16_t* {
    std::memcpy(row.data(), pixels + y * stride, row.size() * sizeof(std::uint16_t));
    return row.data();
  };
}

// The horizontal pass over rows that hold the input's `columns`.
template <int C>
RowSource<std::uint8_t> AcrossBytes(RowSource<std::uint8_t> rows, Range columns,
                                    const Filter& filter) {
  const Index stride = columns.size() + kLanes;  // the last sums read past the end, times 0
  return
      [=, &filter, rows = std::move(rows), planes = std::vector<std::int16_t>(ToSize(stride * C)),
       out = std::vector<std::uint8_t>(ToSize(filter.range.size() * C))](
          Index y) mutable -> const std::uint8_t* {
        SpreadRow<C>(rows(y), columns.size(), planes.data(), stride);
        FilterRow<C>(planes.data(), stride, columns.begin, filter, out.data());
        return out.data();
      };
}

RowSource<std::uint16_t> AcrossGray16(RowSource<std::uint16_t> rows, Range columns,
                                      const Filter& filter) {
  return [=, &filter, rows = std::move(rows),
          out = std::vector<std::uint16_t>(ToSize(filter.range.size()))](
             Index y) mutable -> const std::uint16_t* {
    const std::uint16_t* row = rows(y) - columns.begin;
    for (std::size_t x = 0; x < out.size(); ++x) {
      const double* weight = filter.exact.data() + x * ToSize(filter.width);
      const std::uint16_t* in = row + filter.first[x];
      double sum = 0.0;
      for (Index t = 0; t < filter.count[x]; ++t) sum += in[t] * weight[t];
      out[x] = Clip16(sum);
    }
    return out.data();
  };
}

// The vertical pass over rows of `length` samples; row y of it is position range.begin + y. Keeps
// the input rows that the filter still needs, the oldest overwritten first.
template <typename T>
RowSource<T> Down(RowSource<T> rows, Index length, const Filter& filter) {
  using Sum = std::conditional_t<std::is_same_v<T, std::uint8_t>, std::int32_t, double>;
  const Index kept = *std::max_element(filter.count.begin(), filter.count.end());
  return [=, &filter, rows = std::move(rows), next = filter.first.front(),
          window = std::vector<T>(ToSize(kept * length)), sums = std::vector<Sum>(ToSize(length)),
          result = std::vector<T>(ToSize(length))](Index y) mutable -> const T* {
    const Index first = At(filter.first, y);
    const Index count = At(filter.count, y);
    for (; next < first + count; ++next) {
      std::copy_n(rows(next), length, window.data() + next % kept * length);
    }
    Sum* __restrict sum = sums.data();
    T* __restrict out = result.data();
    if constexpr (std::is_same_v<T, std::uint8_t>) {
      std::fill(sums.begin(), sums.end(), static_cast<std::int32_t>(kHalf));
    } else {
      std::fill(sums.begin(), sums.end(), 0.0);
    }
    for (Index t = 0; t < count; ++t) {
      const T* __restrict in = window.data() + (first + t) % kept * length;
      if constexpr (std::is_same_v<T, std::uint8_t>) {
        const std::int32_t weight = At(filter.whole, y * filter.width + t);
        for (Index i = 0; i < length; ++i) sum[i] += in[i] * weight;
      } else {
        const double weight = At(filter.exact, y * filter.width + t);
        for (Index i = 0; i < length; ++i) sum[i] += in[i] * weight;
      }
    }
    for (Index i = 0; i < length; ++i) {
      if constexpr (std::is_same_v<T, std::uint8_t>) {
        out[i] = Clip8(sum[i]);
      } else {
        out[i] = Clip16(sum[i]);
      }
    }
    return result.data();
  };
}

// What a resize to width x height does, limited to `columns` x `rows` of the result: an axis that
// keeps its size has no pass.
struct Plan {
  Plan(const Image& image, Index width, Index height, Range columns_, Range rows_,
       Interpolation interpolation, PassOrder order)
      : columns(columns_), rows(rows_), used_columns(columns_) {
    horizontal = width != image.width;
    vertical = height != image.height;
    const Index lost_rows = image.height - height;
    vertical_first =
        order == PassOrder::kPillow13 && lost_rows > 0 && lost_rows > 2 * (image.width - width);
    if (horizontal) {
      across = MakeFilter(image.width, width, columns, interpolation);
      used_columns = across.used();
    }
    if (vertical) down = MakeFilter(image.height, height, rows, interpolation);
  }

  Image NewResult(PixelMode mode) const {
    Image result;
    result.mode = mode;
    result.width = columns.size();
    result.height = rows.size();
    result.pixels.resize(ToSize(result.width * result.height * BytesPerPixel(mode)));
    return result;
  }

  // Number of the stages' row for row y of the result.
  Index RowOf(Index y) const { return vertical ? y : rows.begin + y; }

  Range columns;
  Range rows;
  Range used_columns;  // of the input
  bool horizontal;
  bool vertical;
  bool vertical_first;
  Filter across;
  Filter down;
};

template <int C, bool kAlpha>
Image ResampleBytes(const Image& image, Plan plan) {
  if (plan.horizontal) MakeWhole(&plan.across);
  if (plan.vertical) MakeWhole(&plan.down);
  RowSource<std::uint8_t> source = ReadBytes<C, kAlpha>(image, plan.used_columns);
  if (plan.vertical && plan.vertical_first) {
    source = Down<std::uint8_t>(std::move(source), plan.used_columns.size() * C, plan.down);
  }
  if (plan.horizontal) source = AcrossBytes<C>(std::move(source), plan.used_columns, plan.across);
  if (plan.vertical && !plan.vertical_first) {
    source = Down<std::uint8_t>(std::move(source), plan.columns.size() * C, plan.down);
  }
  Image result = plan.NewResult(image.mode);
  const Index length = result.width * C;
  for (Index y = 0; y < result.height; ++y) {
    std::copy_n(source(plan.RowOf(y)), length, result.pixels.data() + y * length);
  }
  if constexpr (kAlpha) DivideByAlpha<C>(result.pixels.data(), result.width * result.height);
  return result;
}

Image ResampleGray16(const Image& image, const Plan& plan) {
  RowSource<std::uint16_t> source = ReadGray16(image, plan.used_columns);
  if (plan.vertical && plan.vertical_first) {
    source = Down<std::uint16_t>(std::move(source), plan.used_columns.size(), plan.down);
  }
  if (plan.horizontal) source = AcrossGray16(std::move(source), plan.used_columns, plan.across);
  if (plan.vertical && !plan.vertical_first) {
    source = Down<std::uint16_t>(std::move(source), plan.columns.size(), plan.down);
  }
  Image result = plan.NewResult(image.mode);
  const Index bytes = result.width * 2;
  for (Index y = 0; y < result.height; ++y) {
    std::memcpy(result.pixels.data() + y * bytes, source(plan.RowOf(y)), ToSize(bytes));
  }
  return result;
}

// The input position of each position of `range`, by adding up the step as Pillow does; `in` where
// rounding leads past the end (Pillow leaves such pixels 0).
std::vector<Index> NearestPositions(Index in, Index out, Range range) {
  const double step = static_cast<double>(static_cast<float>(in)) / static_cast<double>(out);
  double position = step * 0.5;
  std::vector<Index> positions;
  positions.reserve(ToSize(range.size()));
  for (Index o = 0; o < range.end; ++o, position += step) {
    if (o >= range.begin) positions.push_back(std::min(static_cast<Index>(position), in));
  }
  return positions;
}

// Palette and bilevel pictures: one byte a pixel.
Image ResampleNearest(const Image& image, Index width, Index height, Range columns, Range rows) {
  const std::vector<Index> xs = NearestPositions(image.width, width, columns);
  const std::vector<Index> ys = NearestPositions(image.height, height, rows);
  Image result;
  result.mode = image.mode;
  result.width = columns.size();
  result.height = rows.size();
  result.palette = image.palette;
  result.pixels.resize(ToSize(columns.size() * rows.size()));
  std::uint8_t* out = result.pixels.data();
  for (const Index y : ys) {
    for (const Index x : xs) {
      *out++ = x < image.width && y < image.height ? At(image.pixels, y * image.width + x)
                                                   : std::uint8_t{0};
    }
  }
  return result;
}

// The part `columns` x `rows` of a picture that keeps its size.
Image Crop(const Image& image, Range columns, Range rows) {
  Image result;
  result.mode = image.mode;
  result.width = columns.size();
  result.height = rows.size();
  result.palette = image.palette;
  const Index pixel = BytesPerPixel(image.mode);
  result.pixels.resize(ToSize(columns.size() * rows.size() * pixel));
  for (Index y = 0; y < rows.size(); ++y) {
    std::copy_n(image.pixels.data() + ((rows.begin + y) * image.width + columns.begin) * pixel,
                columns.size() * pixel, result.pixels.data() + y * columns.size() * pixel);
  }
  return result;
}

// The part `columns` x `rows` of the picture resized to width x height.
Image ResizePart(const Image& image, Index width, Index height, Range columns, Range rows,
                 Interpolation interpolation, PassOrder order) {
  if (width == image.width && height == image.height) return Crop(image, columns, rows);
  if (image.mode == PixelMode::kPalette || image.mode == PixelMode::kBilevel) {
    return ResampleNearest(image, width, height, columns, rows);
  }
  Plan plan(image, width, height, columns, rows, interpolation, order);
  switch (image.mode) {
    case PixelMode::kGray:
      return ResampleBytes<1, false>(image, std::move(plan));
    case PixelMode::kGrayAlpha:
      return ResampleBytes<2, true>(image, std::move(plan));
    case PixelMode::kRgb:
      return ResampleBytes<3, false>(image, std::move(plan));
    case PixelMode::kRgba:
      return ResampleBytes<4, true>(image, std::move(plan));
    case PixelMode::kCmyk:
      return ResampleBytes<4, false>(image, std::move(plan));
    case PixelMode::kGray16:
      return ResampleGray16(image, plan);
    case PixelMode::kPalette:
    case PixelMode::kBilevel:
      break;
  }
  throw Error(ErrorCode::kInternal, "pixel mode {} cannot be resized",
              static_cast<int>(image.mode));
}

// torchvision's centre crop of `out` from `in` >= out: halves round to even.
Range MiddleOf(Index in, Index out) {
  const auto begin = static_cast<Index>(std::nearbyint(static_cast<double>(in - out) / 2.0));
  return {begin, begin + out};
}

// The longer side of a picture whose shorter side becomes S.
Index LongSide(Index size, Index long_side, Index short_side) {
  const double side = static_cast<double>(size * long_side) / static_cast<double>(short_side);
  if (side > static_cast<double>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(ErrorCode::kExhausted,
                "picture of {} by {} pixels: its longer side would become {}, the limit is {}; "
                "cut the picture up",
                long_side, short_side, side, std::numeric_limits<std::int32_t>::max());
  }
  return static_cast<Index>(side);
}

// `part` in the middle of an S x S square in the picture's own mode, filled as the reference fills.
Image PadInOwnMode(const Image& part, Index size, std::uint8_t fill) {
  Image result;
  result.mode = part.mode;
  result.width = size;
  result.height = size;
  result.palette = part.palette;
  const Index pixel = BytesPerPixel(part.mode);
  result.pixels.assign(ToSize(size * size * pixel), fill);
  if (part.mode == PixelMode::kGray16) {
    const std::uint16_t sample = fill;
    for (std::size_t i = 0; i < result.pixels.size(); i += 2) {
      std::memcpy(result.pixels.data() + i, &sample, 2);
    }
  }
  const Index left = (size - part.width) / 2;
  const Index top = (size - part.height) / 2;
  for (Index y = 0; y < part.height; ++y) {
    std::copy_n(part.pixels.data() + y * part.width * pixel, part.width * pixel,
                result.pixels.data() + ((top + y) * size + left) * pixel);
  }
  return result;
}

Image Pad(const Image& part, Index size, const std::array<std::uint8_t, 3>& color) {
  if (part.width == size && part.height == size) return part;
  if (color[0] == color[1] && color[1] == color[2]) return PadInOwnMode(part, size, color[0]);
  const Image rgb = ConvertToRgb(part);
  Image result = PadInOwnMode(rgb, size, 0);
  const Index left = (size - rgb.width) / 2;
  const Index top = (size - rgb.height) / 2;
  for (Index y = 0; y < size; ++y) {
    for (Index x = 0; x < size; ++x) {
      if (y >= top && y < top + rgb.height && x >= left && x < left + rgb.width) continue;
      std::copy(color.begin(), color.end(), result.pixels.data() + (y * size + x) * 3);
    }
  }
  return result;
}

void CheckConfig(const PreprocessConfig& config) {
  if (config.image_size < 1 || config.image_size > kMaxImageSize) {
    throw Error(ErrorCode::kInvalidArgument,
                "image size {}: 1 to {} is allowed; check the model's "
                "configuration",
                config.image_size, kMaxImageSize);
  }
  if (config.resize_size < 0 || config.resize_size > kMaxImageSize) {
    throw Error(ErrorCode::kInvalidArgument,
                "resize size {}: 0 to {} is allowed; check the model's configuration",
                config.resize_size, kMaxImageSize);
  }
}

// Where a square of `size` begins on an axis by transformers' rule.
Index MiddleRoundedDown(Index in, Index size) {
  return in >= size ? (in - size) / 2 : -((size - in + 1) / 2);
}

// The part of an axis of `in` that a square of `size` from `begin` on covers.
Range CoveredBy(Index in, Index begin, Index size) {
  return {std::max<Index>(0, begin), std::min(in, begin + size)};
}

InputPlacement PlacementByHuggingFace(Index width, Index height, const PreprocessConfig& config) {
  const Index size = config.image_size;
  const Index side = config.resize_size == 0 ? size : config.resize_size;
  InputPlacement place{width, height, 0, 0};
  switch (config.resize_mode) {
    case ResizeMode::kShortest: {
      const bool upright = width <= height;
      place.width = upright ? side : LongSide(side, width, height);
      place.height = upright ? LongSide(side, height, width) : side;
      break;
    }
    case ResizeMode::kSquash:
      place.width = place.height = side;
      break;
    case ResizeMode::kNone:
      break;
    case ResizeMode::kLongest:
      throw Error(ErrorCode::kInvalidArgument,
                  "resize mode 'longest' is none of transformers' CLIPImageProcessor; use "
                  "PreprocessRule::kOpenClip");
  }
  place.left = MiddleRoundedDown(place.width, size);
  place.top = MiddleRoundedDown(place.height, size);
  return place;
}

InputPlacement PlacementByOpenClip(Index width, Index height, const PreprocessConfig& config) {
  const Index size = config.image_size;
  switch (config.resize_mode) {
    case ResizeMode::kSquash:
      return {size, size, 0, 0};
    case ResizeMode::kShortest: {
      const bool upright = width <= height;
      const Index w = upright ? size : LongSide(size, width, height);
      const Index h = upright ? LongSide(size, height, width) : size;
      return {w, h, MiddleOf(w, size).begin, MiddleOf(h, size).begin};
    }
    case ResizeMode::kLongest: {
      const double ratio = std::max(static_cast<double>(height) / static_cast<double>(size),
                                    static_cast<double>(width) / static_cast<double>(size));
      const auto side = [&](Index in) {
        const double rounded = std::nearbyint(static_cast<double>(in) / ratio);
        return std::clamp<Index>(static_cast<Index>(rounded), 1, size);
      };
      const Index w = side(width);
      const Index h = side(height);
      return {w, h, -((size - w) / 2), -((size - h) / 2)};
    }
    case ResizeMode::kNone:
      throw Error(ErrorCode::kInvalidArgument,
                  "resize mode 'none' is none of open_clip's; use PreprocessRule::kHuggingFace");
  }
  throw Error(ErrorCode::kInternal, "resize mode {} is unknown",
              static_cast<int>(config.resize_mode));
}

// PreprocessRule::kHuggingFace.
Image ResizeAndCropRgb(const Image& image, const PreprocessConfig& config) {
  const bool plain = image.mode == PixelMode::kRgb && !image.clear_color;
  const Image converted = plain ? Image() : ConvertToRgbOnWhite(image);
  const Image& rgb = plain ? image : converted;
  const Index size = config.image_size;
  const InputPlacement place = PlacementOf(rgb.width, rgb.height, config);
  Image part =
      ResizePart(rgb, place.width, place.height, CoveredBy(place.width, place.left, size),
                 CoveredBy(place.height, place.top, size), config.interpolation, config.pass_order);
  if (part.width == size && part.height == size) return part;
  Image framed;
  framed.width = framed.height = size;
  framed.pixels.resize(ToSize(size * size * 3));
  for (Index y = 0; y < part.height; ++y) {
    std::copy_n(
        part.pixels.data() + y * part.width * 3, part.width * 3,
        framed.pixels.data() +
            ((std::max<Index>(0, -place.top) + y) * size + std::max<Index>(0, -place.left)) * 3);
  }
  return framed;
}

}  // namespace

Image Resize(const Image& image, Index width, Index height, Interpolation interpolation,
             PassOrder order) {
  CheckImage(image);
  if (width < 1 || height < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "resize to {} x {} pixels: both sides must be at least 1", width, height);
  }
  if (width > kMaxPixels / height) {
    throw Error(ErrorCode::kExhausted,
                "resize to {} x {} pixels: the limit is {} in all; ask for less", width, height,
                kMaxPixels);
  }
  return ResizePart(image, width, height, {0, width}, {0, height}, interpolation, order);
}

InputPlacement PlacementOf(Index width, Index height, const PreprocessConfig& config) {
  CheckConfig(config);
  if (width < 1 || height < 1) {
    throw Error(ErrorCode::kInvalidArgument, "picture of {} by {} pixels: both must be at least 1",
                width, height);
  }
  return config.rule == PreprocessRule::kHuggingFace ? PlacementByHuggingFace(width, height, config)
                                                     : PlacementByOpenClip(width, height, config);
}

Image ResizeAndCrop(const Image& image, const PreprocessConfig& config) {
  CheckImage(image);
  CheckConfig(config);
  if (config.rule == PreprocessRule::kHuggingFace) return ResizeAndCropRgb(image, config);
  const Index size = config.image_size;
  const InputPlacement place = PlacementOf(image.width, image.height, config);
  const Image part =
      ResizePart(image, place.width, place.height, CoveredBy(place.width, place.left, size),
                 CoveredBy(place.height, place.top, size), config.interpolation, config.pass_order);
  return ConvertToRgb(Pad(part, size, config.fill_color));
}

Array<float, 3> Preprocess(const Image& image, const PreprocessConfig& config) {
  for (std::size_t c = 0; c < 3; ++c) {
    if (config.std[c] == 0.0f) {
      throw Error(ErrorCode::kInvalidArgument,
                  "standard deviation of channel {} is 0, it divides; check the model's "
                  "configuration",
                  c);
    }
  }
  const Image rgb = ResizeAndCrop(image, config);
  const Index size = config.image_size;
  Array<float, 3> x({3, size, size});
  for (std::size_t c = 0; c < 3; ++c) {
    std::array<float, 256> table;
    for (std::size_t v = 0; v < table.size(); ++v) {
      const float unit = config.rule == PreprocessRule::kHuggingFace
                             ? static_cast<float>(static_cast<double>(v) * config.rescale_factor)
                             : static_cast<float>(v) / 255.0f;
      const float shifted = unit - config.mean[c];
      table[v] = shifted / config.std[c];
    }
    const std::uint8_t* in = rgb.pixels.data() + c;
    for (float& out : x.row(static_cast<Index>(c))) {
      out = table[*in];
      in += 3;
    }
  }
  return x;
}

}  // namespace cliplens
