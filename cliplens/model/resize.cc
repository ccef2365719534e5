#include "cliplens/model/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {

namespace {

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

// The weighted sums along one axis that give the positions of a range: position range.begin + o is
// the sum over t < count[o] of weight[o * width + t] * input[first[o] + t].
struct Filter {
  PixelRange range;
  Index width;  // distance of rows of weights, a multiple of kLanes; weights past `count` are 0
  std::vector<Index> first;
  std::vector<Index> count;
  std::vector<double> exact;        // as computed, for samples that are no bytes
  int bits = kPrecisionBits;        // that the weights for bytes are rounded to
  std::vector<std::int32_t> whole;  // in units of 2^-22, for bytes
  std::vector<std::int16_t> high;
  std::vector<std::int16_t> low;

  // Input positions that are used at all.
  PixelRange used() const { return {first.front(), first.back() + count.back()}; }
};

// The kernel by which `in` pixels are resized to `out`; Pillow's precompute_coeffs.
struct Kernel {
  Kernel(Index in_size, Index out_size, Interpolation how)
      : in(in_size),
        interpolation(how),
        // Pillow passes the extent through float32.
        scale(static_cast<double>(static_cast<float>(in)) / static_cast<double>(out_size)),
        stretch(std::max(scale, 1.0)),
        support((interpolation == Interpolation::kBicubic ? 2.0 : 1.0) * stretch) {}

  // The most weights of a position.
  Index width() const { return 2 * static_cast<Index>(std::ceil(support)) + 1; }
  // Input positions that output position o is made of, and their weights.
  PixelRange WeightsOf(Index o, double* weight) const {
    const double center = (static_cast<double>(o) + 0.5) * scale;
    const Index first = std::max<Index>(static_cast<Index>(center - support + 0.5), 0);
    const Index last = std::min(static_cast<Index>(center + support + 0.5), in);
    const double inverse = 1.0 / stretch;
    double sum = 0.0;
    for (Index t = 0; t < last - first; ++t) {
      const double x = (static_cast<double>(t + first) - center + 0.5) * inverse;
      weight[t] = interpolation == Interpolation::kBicubic ? Bicubic(x) : Bilinear(x);
      sum += weight[t];
    }
    if (sum != 0.0) {
      for (Index t = 0; t < last - first; ++t) weight[t] /= sum;
    }
    return {first, last};
  }

  Index in;
  Interpolation interpolation;
  double scale, stretch, support;
};

// torchvision's number of bits: as many as keep the largest weight of all positions below 2^15.
int BitsOfTorchvision(const Kernel& kernel, Index out) {
  if (kernel.width() > 4 * kMaxWeights / out) {
    throw Error(ErrorCode::kExhausted,
                "resizing {} pixels to {} as torchvision does: {} weights for each are needed, the "
                "limit is {} in all; cut the picture up",
                kernel.in, out, kernel.width(), 4 * kMaxWeights);
  }
  std::vector<double> weights(ToSize(kernel.width()));
  double largest = 0;
  for (Index o = 0; o < out; ++o) {
    const Index count = kernel.WeightsOf(o, weights.data()).size();
    for (Index t = 0; t < count; ++t) largest = std::max(largest, At(weights, t));
  }
  int bits = 0;
  while (bits < kPrecisionBits && 0.5 + largest * std::ldexp(1.0, bits + 1) < 1 << 15) ++bits;
  return bits;
}

Filter MakeFilter(Index in, Index out, PixelRange range, const ResizedPart& wanted) {
  const Kernel kernel(in, out, wanted.interpolation);
  Filter filter;
  filter.range = range;
  filter.width = RoundUp(kernel.width());
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
    const PixelRange used =
        kernel.WeightsOf(range.begin + o, filter.exact.data() + o * filter.width);
    At(filter.first, o) = used.begin;
    At(filter.count, o) = used.size();
  }
  if (wanted.backend == ResizeBackend::kTorchvision) filter.bits = BitsOfTorchvision(kernel, out);
  return filter;
}

// Rounds the weights for bytes.
void MakeWhole(Filter* filter) {
  filter->whole.resize(filter->exact.size());
  filter->high.resize(filter->exact.size());
  filter->low.resize(filter->exact.size());
  // In fewer bits and back: a sum of such weights rounds as a sum in those bits does.
  const int left_out = kPrecisionBits - filter->bits;
  for (std::size_t i = 0; i < filter->exact.size(); ++i) {
    const double scaled = filter->exact[i] * (1 << filter->bits);
    const auto w = static_cast<std::int32_t>(scaled + (filter->exact[i] < 0 ? -0.5 : 0.5))
                   << left_out;
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

// A weighted sum of samples that are no bytes, as Pillow keeps it.
template <typename T>
T RoundTo(double sum);

template <>
std::uint16_t RoundTo<std::uint16_t>(double sum) {
  const int rounded = static_cast<int>(sum + (sum >= 0 ? 0.5 : -0.5));
  return static_cast<std::uint16_t>(std::clamp(rounded, 0, 65535));
}

template <>
std::int32_t RoundTo<std::int32_t>(double sum) {
  const double rounded = sum >= 0.0 ? std::floor(sum + 0.5) : -std::floor(std::abs(sum) + 0.5);
  constexpr double kMost = std::numeric_limits<std::int32_t>::max();
  constexpr double kLeast = std::numeric_limits<std::int32_t>::min();
  return static_cast<std::int32_t>(std::clamp(rounded, kLeast, kMost));
}

template <>
float RoundTo<float>(double sum) {
  return static_cast<float>(sum);
}

// A stage of the resize gives rows of samples by number, in growing order; a row is valid until the
// next call. Stages are put one on another, so no intermediate picture is ever whole.
template <typename T>
using RowSource = std::function<const T*(Index y)>;

// Pixels [columns.begin, columns.end) of a picture of bytes. With alpha in the last channel, the
// others are multiplied by it.
template <int C, bool kAlpha>
RowSource<std::uint8_t> ReadBytes(const Image& image, PixelRange columns) {
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

// The same of a grey picture whose samples are of type T.
template <typename T>
RowSource<T> ReadWide(const Image& image, PixelRange columns) {
  constexpr auto kBytes = static_cast<Index>(sizeof(T));
  const std::uint8_t* pixels = image.pixels.data() + columns.begin * kBytes;
  const Index stride = image.width * kBytes;
  return [=, row = std::vector<T>(ToSize(columns.size()))](Index y) mutable -> const T* {
    std::memcpy(row.data(), pixels + y * stride, row.size() * sizeof(T));
    return row.data();
  };
}

// The horizontal pass over rows that hold the input's `columns`.
template <int C>
RowSource<std::uint8_t> AcrossBytes(RowSource<std::uint8_t> rows, PixelRange columns,
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

template <typename T>
RowSource<T> AcrossWide(RowSource<T> rows, PixelRange columns, const Filter& filter) {
  return [=, &filter, rows = std::move(rows),
          out = std::vector<T>(ToSize(filter.range.size()))](Index y) mutable -> const T* {
    const T* row = rows(y) - columns.begin;
    for (std::size_t x = 0; x < out.size(); ++x) {
      const double* weight = filter.exact.data() + x * ToSize(filter.width);
      const T* in = row + filter.first[x];
      double sum = 0.0;
      for (Index t = 0; t < filter.count[x]; ++t) sum += in[t] * weight[t];
      out[x] = RoundTo<T>(sum);
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
        out[i] = RoundTo<T>(sum[i]);
      }
    }
    return result.data();
  };
}
// The passes of a resize: an axis that keeps its size has none.
struct Plan {
  Plan(const Image& image, const ResizedPart& wanted)
      : part(wanted.part), used_columns(wanted.part.x) {
    horizontal = wanted.width != image.width;
    vertical = wanted.height != image.height;
    const Index lost_rows = image.height - wanted.height;
    vertical_first = wanted.backend == ResizeBackend::kPillow && lost_rows > 0 &&
                     lost_rows > 2 * (image.width - wanted.width);
    if (horizontal) {
      across = MakeFilter(image.width, wanted.width, part.x, wanted);
      used_columns = across.used();
    }
    if (vertical) down = MakeFilter(image.height, wanted.height, part.y, wanted);
  }

  PixelRegion part;
  PixelRange used_columns;  // of the input
  bool horizontal;
  bool vertical;
  bool vertical_first;
  Filter across;
  Filter down;
};

// Puts the passes on `source`, which reads the used columns of the input, and collects the rows.
// `channels`: samples of type T a pixel. `add_across` puts the horizontal pass on a source.
template <typename T, typename AddAcross>
Image RunPasses(const Plan& plan, PixelMode mode, Index channels, RowSource<T> source,
                const AddAcross& add_across) {
  const auto add_down = [&](Index columns) {
    source = Down<T>(std::move(source), columns * channels, plan.down);
  };
  if (plan.vertical && plan.vertical_first) add_down(plan.used_columns.size());
  if (plan.horizontal) source = add_across(std::move(source), plan.used_columns, plan.across);
  if (plan.vertical && !plan.vertical_first) add_down(plan.part.x.size());
  Image result = NewImage(mode, plan.part.x.size(), plan.part.y.size());
  const std::size_t bytes = ToSize(result.width * channels) * sizeof(T);
  // Without a vertical pass the stages number their rows as the input does.
  const Index first = plan.vertical ? 0 : plan.part.y.begin;
  for (Index y = 0; y < result.height; ++y) {
    std::memcpy(result.pixels.data() + ToSize(y) * bytes, source(first + y), bytes);
  }
  return result;
}

template <int C, bool kAlpha>
Image ResampleBytes(const Image& image, Plan plan) {
  if (plan.horizontal) MakeWhole(&plan.across);
  if (plan.vertical) MakeWhole(&plan.down);
  Image result = RunPasses<std::uint8_t>(
      plan, image.mode, C, ReadBytes<C, kAlpha>(image, plan.used_columns), AcrossBytes<C>);
  if constexpr (kAlpha) DivideByAlpha<C>(result.pixels.data(), result.width * result.height);
  return result;
}

template <typename T>
Image ResampleWide(const Image& image, const Plan& plan) {
  return RunPasses<T>(plan, image.mode, 1, ReadWide<T>(image, plan.used_columns), AcrossWide<T>);
}

// The input position of each position of `range`, by adding up the step as Pillow does; `in` where
// rounding leads past the end (Pillow leaves such pixels 0).
std::vector<Index> NearestPositions(Index in, Index out, PixelRange range) {
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
Image ResampleNearest(const Image& image, const ResizedPart& wanted) {
  const PixelRegion& part = wanted.part;
  const std::vector<Index> xs = NearestPositions(image.width, wanted.width, part.x);
  const std::vector<Index> ys = NearestPositions(image.height, wanted.height, part.y);
  Image result = NewImage(image.mode, part.x.size(), part.y.size());
  result.palette = image.palette;
  std::uint8_t* out = result.pixels.data();
  for (const Index y : ys) {
    for (const Index x : xs) {
      *out++ = x < image.width && y < image.height ? At(image.pixels, y * image.width + x)
                                                   : std::uint8_t{0};
    }
  }
  return result;
}
// A part of a picture that keeps its size.
Image Crop(const Image& image, const PixelRegion& part) {
  Image result = NewImage(image.mode, part.x.size(), part.y.size());
  result.palette = image.palette;
  const Index pixel = BytesPerPixel(image.mode);
  for (Index y = 0; y < result.height; ++y) {
    std::copy_n(image.pixels.data() + ((part.y.begin + y) * image.width + part.x.begin) * pixel,
                result.width * pixel, result.pixels.data() + y * result.width * pixel);
  }
  return result;
}

}  // namespace

const char* NameOf(ResizeBackend backend) {
  switch (backend) {
    case ResizeBackend::kPillow:
      return "pillow";
    case ResizeBackend::kPillow12:
      return "pillow12";
    case ResizeBackend::kTorchvision:
      break;
  }
  return "torchvision";
}

ResizeBackend ParseResizeBackend(std::string_view name) {
  for (const ResizeBackend backend : {ResizeBackend::kPillow, ResizeBackend::kTorchvision}) {
    if (name == NameOf(backend)) return backend;
  }
  throw Error(ErrorCode::kInvalidArgument, "resize backend '{}': pillow and torchvision are known",
              Printable(name, 80));
}

Image ResizePart(const Image& image, const ResizedPart& wanted) {
  if (wanted.width == image.width && wanted.height == image.height) {
    return Crop(image, wanted.part);
  }
  if (image.mode == PixelMode::kPalette || image.mode == PixelMode::kBilevel) {
    return ResampleNearest(image, wanted);
  }
  Plan plan(image, wanted);
  switch (image.mode) {
    case PixelMode::kGray:
      return ResampleBytes<1, false>(image, std::move(plan));
    case PixelMode::kGrayAlpha:
      return ResampleBytes<2, true>(image, std::move(plan));
    case PixelMode::kRgb:
    case PixelMode::kYcbcr:
    case PixelMode::kLab:
      return ResampleBytes<3, false>(image, std::move(plan));
    case PixelMode::kRgba:
      return ResampleBytes<4, true>(image, std::move(plan));
    case PixelMode::kCmyk:
      return ResampleBytes<4, false>(image, std::move(plan));
    case PixelMode::kGray16:
      return ResampleWide<std::uint16_t>(image, plan);
    case PixelMode::kInt32:
      return ResampleWide<std::int32_t>(image, plan);
    case PixelMode::kFloat32:
      return ResampleWide<float>(image, plan);
    case PixelMode::kPalette:
    case PixelMode::kBilevel:
      break;
  }
  throw Error(ErrorCode::kInternal, "pixel mode {} cannot be resized",
              static_cast<int>(image.mode));
}

Image Resize(const Image& image, Index width, Index height, Interpolation interpolation,
             ResizeBackend backend) {
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
  return ResizePart(image, {width, height, {{0, width}, {0, height}}, interpolation, backend});
}

}  // namespace cliplens
