#include "cliplens/analysis/segmentation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <utility>

#include "cliplens/analysis/scored_labels.h"
#include "cliplens/analysis/token_map.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/nn/product.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {
namespace {

Array<float, 2> Contrasts(ArrayView<const float, 2> classifier) {
  const Index classes = classifier.dim(0);
  Array<float, 2> directions({classes, classifier.dim(1)});
  for (Index k = 0; k < classifier.dim(1); ++k) {
    double mean = 0;
    for (Index c = 0; c < classes; ++c) mean += classifier(c, k);
    mean = classes > 1 ? mean / static_cast<double>(classes) : 0.0;
    for (Index c = 0; c < classes; ++c) {
      directions(c, k) = static_cast<float>(classifier(c, k) - mean);
    }
  }
  return directions;
}

// The class token's row [N], mean over the heads.
std::vector<double> LastAttention(const Activations& a) {
  const Index heads = a.pattern.dim(1);
  std::vector<double> row(ToSize(a.pattern.dim(2)), 0.0);
  for (Index h = 0; h < heads; ++h) {
    const std::span<const float> alpha = a.pattern.view()[a.pattern.dim(0) - 1].row(h);
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] += alpha[i] / static_cast<double>(heads);
    }
  }
  return row;
}

std::vector<double> Rollout(const Activations& a) {
  const Index tokens = a.attention.dim(1);
  std::vector<double> row(ToSize(tokens), 0.0);
  row[0] = 1;
  for (Index l = a.attention.dim(0) - 1; l >= 0; --l) {
    std::vector<double> next(row.size(), 0.0);
    for (Index i = 0; i < tokens; ++i) {
      const double part = At(row, i) / 2;
      const std::span<const float> alpha = a.attention.view()[l].row(i);
      for (std::size_t j = 0; j < next.size(); ++j) next[j] += part * alpha[j];
      At(next, i) += part;
    }
    row = std::move(next);
  }
  return row;
}

// ⟨unit embedding of token i, direction⟩: ln_post and projection applied to every token.
std::vector<double> PatchText(const ClipModel& model, const Activations& a,
                              std::span<const float> direction) {
  const TensorMap& tensors = model.tensors();
  const std::vector<float>& gain = tensors.at("vision.ln_post.gain").values;
  const std::vector<float>& bias = tensors.at("vision.ln_post.bias").values;
  const Index tokens = a.last.dim(0);
  const Index width = a.last.dim(1);
  Matrix normed(tokens, width);
  for (Index i = 0; i < tokens; ++i) {
    const auto row = Eigen::Map<const Eigen::VectorXf>(a.last.row(i).data(), width).cast<double>();
    const double mean = row.mean();
    const double sigma =
        std::sqrt((row.array() - mean).square().mean() + model.config().vision.norm_epsilon);
    for (Index d = 0; d < width; ++d) {
      const auto at = ToSize(d);
      normed(i, d) = (row[d] - mean) / sigma * gain[at] + bias[at];
    }
  }
  const ArrayView<const float, 2> projection(tensors.at("vision.projection").values.data(),
                                             {width, model.config().embed_width});
  const Matrix embedded = nn::Product(nn::Of(normed), nn::Of(projection));
  std::vector<double> scores;
  for (Index i = 0; i < tokens; ++i) {
    double dot = 0;
    for (Index k = 0; k < embedded.cols(); ++k) {
      dot += embedded(i, k) * At(direction, k);
    }
    const double norm = embedded.row(i).norm();
    scores.push_back(norm > 0 ? dot / norm : 0.0);
  }
  return scores;
}

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

PreprocessConfig Squashed(PreprocessConfig config) {
  config.resize_mode = ResizeMode::kSquash;
  config.resize_size = 0;
  return config;
}

// What one picture adds.
struct Outcome {
  enum class Kind { kUnread, kNoMask, kNoLabel, kDone } kind = Kind::kUnread;
  std::string path;
  bool labelled = false;
  bool right = false;
  PictureSegmentation figures;
  std::vector<float> map;  // where maps are kept
};

// Memory of passes that are over, for those to come.
class SpareActivations {
 public:
  std::vector<Activations> Take() {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) return {};
    std::vector<Activations> taken = std::move(spare_.back());
    spare_.pop_back();
    return taken;
  }
  void Give(std::vector<Activations> activations) {
    const std::lock_guard lock(mutex_);
    spare_.push_back(std::move(activations));
  }

 private:
  std::mutex mutex_;
  std::vector<std::vector<Activations>> spare_;
};

constexpr Index kFigures = 7;  // counted, right, intersections, unions, average precision

SegmentationFigures FiguresOf(std::span<const Outcome> outcomes, bool right_only) {
  const Bootstrap bootstrap;
  BlockSums sums(kFigures, bootstrap.blocks());
  SegmentationFigures figures;
  for (const Outcome& o : outcomes) {
    if (o.kind != Outcome::Kind::kDone || (right_only && !o.right)) continue;
    const PictureSegmentation& p = o.figures;
    const std::array<double, kFigures> values = {static_cast<double>(p.counted),
                                                 static_cast<double>(p.right),
                                                 static_cast<double>(p.intersection[0]),
                                                 static_cast<double>(p.union_[0]),
                                                 static_cast<double>(p.intersection[1]),
                                                 static_cast<double>(p.union_[1]),
                                                 p.average_precision};
    sums.Add(o.path, values);
    figures.empty_maps += p.empty ? 1 : 0;
  }
  figures.pictures = sums.pictures();
  figures.pixel_accuracy = bootstrap.Ratio(sums.sum(1), sums.sum(0));
  const auto ratio = [](double above, double below) { return below > 0 ? above / below : 0.0; };
  for (std::size_t c = 0; c < 2; ++c) {
    const auto first = static_cast<Index>(2 + 2 * c);
    figures.iou[c] = bootstrap.Ratio(sums.sum(first), sums.sum(first + 1));
  }
  const std::array<std::vector<double>, 4> areas = {sums.sum(2), sums.sum(3), sums.sum(4),
                                                    sums.sum(5)};
  figures.mean_iou = bootstrap.Of(areas, [&](std::span<const double> s) {
    return (ratio(s[0], s[1]) + ratio(s[2], s[3])) / 2;
  });
  figures.mean_ap = bootstrap.Ratio(sums.sum(6), sums.counted());
  return figures;
}

}  // namespace

const char* NameOf(MapMethod method) {
  switch (method) {
    case MapMethod::kDecomposition:
      return "decomposition";
    case MapMethod::kRawAttention:
      return "raw-attention";
    case MapMethod::kRollout:
      return "rollout";
    case MapMethod::kPatchText:
      return "patch-text";
    case MapMethod::kBackground:
      return "background";
  }
  return "";
}

const char* NameOf(MapGeometry geometry) {
  switch (geometry) {
    case MapGeometry::kAligned:
      return "aligned";
    case MapGeometry::kSquash:
      return "squash";
    case MapGeometry::kReference:
      return "reference";
  }
  return "";
}

MaskPixels ReadMaskPixels(const Image& mask, std::optional<int> ignore, const std::string& name) {
  const Index bytes = BytesPerPixel(mask.mode);
  if (ignore && bytes != 1) {
    throw Error(ErrorCode::kUnsupported,
                "{}: value {} is not to be counted, but the mask's pixels have {} bytes (mode {}); "
                "save it as a grey or palette picture",
                Printable(name, 1024), *ignore, bytes, NameOf(mask.mode));
  }
  MaskPixels pixels({mask.height, mask.width});
  const std::uint8_t* from = mask.pixels.data();
  if (bytes == 1 && !ignore) {
    std::transform(from, from + pixels.size(), pixels.flat().begin(),
                   [](std::uint8_t v) { return static_cast<std::int8_t>(v != 0 ? 1 : 0); });
    return pixels;
  }
  for (std::int8_t& to : pixels.flat()) {
    const bool object = std::any_of(from, from + bytes, [](std::uint8_t v) { return v != 0; });
    to = ignore && *from == *ignore ? std::int8_t{-1} : static_cast<std::int8_t>(object ? 1 : 0);
    from += bytes;
  }
  return pixels;
}

MaskPixels MaskOnInput(const MaskPixels& mask, const ModelConfig& config, MapGeometry geometry) {
  const Index height = mask.dim(0);
  const Index width = mask.dim(1);
  const PreprocessConfig preprocess =
      geometry == MapGeometry::kAligned ? config.preprocess : Squashed(config.preprocess);
  const InputPlacement place = PlacementOf(width, height, preprocess);
  const Index side = config.grid() * config.patch_size;
  // The pixel of an axis, or −1 beside it.
  const auto nearest = [](Index i, Index first, Index resized, Index n) {
    const Index at = i + first;
    if (at < 0 || at >= resized) return Index{-1};
    const double place_on_axis =
        (static_cast<double>(at) + 0.5) * static_cast<double>(n) / static_cast<double>(resized);
    return std::min(static_cast<Index>(place_on_axis), n - 1);
  };
  std::vector<Index> columns;
  for (Index x = 0; x < side; ++x) columns.push_back(nearest(x, place.left, place.width, width));
  MaskPixels out({side, side});
  for (Index y = 0; y < side; ++y) {
    const Index row = nearest(y, place.top, place.height, height);
    for (Index x = 0; x < side; ++x) {
      const Index column = At(columns, x);
      out(y, x) = row < 0 || column < 0 ? std::int8_t{-1} : mask(row, column);
    }
  }
  return out;
}

ScaledMap ScaleMap(ArrayView<const double, 2> map) {
  ScaledMap scaled;
  scaled.values = Array<double, 2>({map.dim(0), map.dim(1)});
  const auto [lowest, highest] = std::ranges::minmax_element(map.flat());
  const double low = std::max(*lowest, 0.0);
  const double high = std::max(*highest, 0.0);
  if (high <= low) {
    scaled.empty = true;
    return scaled;
  }
  double sum = 0;
  std::ranges::transform(map.flat(), scaled.values.flat().begin(), [&](double v) {
    const double value = (std::max(v, 0.0) - low) / (high - low);
    sum += value;
    return value;
  });
  scaled.mean = sum / static_cast<double>(map.size());
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
    ++count[truth == 1 ? 1 : 0][values[i] > map.mean ? 1 : 0];
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

ClassMaps::ClassMaps(const ClipModel& model, ArrayView<const float, 2> classifier, MapMethod method,
                     std::vector<HeadId> heads, int threads)
    : model_(model),
      classifier_({classifier.dim(0), classifier.dim(1)},
                  std::vector<float>(classifier.flat().begin(), classifier.flat().end())),
      directions_(Contrasts(classifier)),
      method_(method),
      heads_(std::move(heads)) {
  if (method == MapMethod::kDecomposition) {
    weights_.emplace(model, TowerSide::kVision, directions_, threads);
  }
}

void ClassMaps::Ask(Activations& a) const {
  a.tokens = method_ == MapMethod::kDecomposition || method_ == MapMethod::kRawAttention;
  a.everywhere = method_ == MapMethod::kRollout || method_ == MapMethod::kPatchText;
}

std::vector<Index> ClassMaps::Answers(ArrayView<const float, 2> embeddings) const {
  const Matrix scores = nn::Product(nn::Of(embeddings), nn::Of(classifier_.view()).Transposed());
  std::vector<Index> answers(ToSize(scores.rows()));
  for (Index b = 0; b < scores.rows(); ++b) {
    scores.row(b).maxCoeff(&At(answers, b));  // the first of equal ones
  }
  return answers;
}

Array<double, 2> ClassMaps::MapOf(const Activations& a, Index c) const {
  const Index grid = model_.config().grid();
  switch (method_) {
    case MapMethod::kDecomposition: {
      const TokenScores scores = ScoreTokens(
          *weights_, a, {.heads = heads_, .directions = {&c, 1}, .rest = false}, /*threads=*/1);
      return GridOf(scores.tokens.row(0), grid);
    }
    case MapMethod::kRawAttention:
      return GridOf(LastAttention(a), grid);
    case MapMethod::kRollout:
      return GridOf(Rollout(a), grid);
    case MapMethod::kPatchText:
      return GridOf(PatchText(model_, a, directions_.row(c)), grid);
    case MapMethod::kBackground:
      break;
  }
  return Array<double, 2>({grid, grid});
}

SegmentationResult EvaluateSegmentation(const ClipModel& model, const ImageSet& set,
                                        ArrayView<const float, 2> classifier,
                                        const ClassLabels& labels,
                                        const SegmentationOptions& options) {
  const ClassMaps maps(model, classifier, options.method, options.heads, options.threads);
  const ModelConfig& config = model.config();
  const PreprocessConfig preprocess =
      options.geometry == MapGeometry::kSquash ? Squashed(config.preprocess) : config.preprocess;
  const std::optional<int> ignore = options.ignore ? options.ignore : set.mask_ignore();
  const Index side = config.grid() * config.patch_size;
  std::vector<Outcome> outcomes(ToSize(set.size()));
  PictureErrors errors(options.on_error);
  std::mutex mutex;
  Index done = 0;
  SpareActivations spare;
  Passes passes(model, options.threads);
  passes.ForImages(set.size(), [&](Index begin, Index end, Workspace& workspace) {
    std::vector<Array<float, 3>> pixels;
    std::vector<MaskPixels> masks;
    std::vector<Index> label_of;
    std::vector<Outcome*> wanted;
    for (Index i = begin; i < end; ++i) {
      Outcome& outcome = At(outcomes, i);
      Item item;
      const std::optional<Image> image = errors.Read(set, i, &item);
      if (!image) continue;
      const std::optional<std::string> label = LabelOf(item, options.label);
      const Index true_class = label ? labels.IndexOf(*label) : -1;
      if (options.truth && true_class < 0) {
        outcome.kind = Outcome::Kind::kNoLabel;
        continue;
      }
      const std::optional<std::vector<std::uint8_t>> bytes = set.ReadMask(i);
      if (!bytes) {
        outcome.kind = Outcome::Kind::kNoMask;
        continue;
      }
      const std::string name = item.path + ": mask";
      const Image mask = DecodeImage(*bytes, name);
      if (mask.width != image->width || mask.height != image->height) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: is {} x {} pixels, its picture {} x {}; a mask has the picture's size",
                    Printable(name, 1024), mask.width, mask.height, image->width, image->height);
      }
      outcome.path = std::move(item.path);
      outcome.labelled = true_class >= 0;
      wanted.push_back(&outcome);
      label_of.push_back(true_class);
      masks.push_back(MaskOnInput(ReadMaskPixels(mask, ignore, name), config, options.geometry));
      pixels.push_back(Preprocess(*image, preprocess));
    }
    if (!wanted.empty()) {
      Array<float, 2> rows({static_cast<Index>(wanted.size()), config.embed_width});
      std::vector<Activations> memory = spare.Take();
      if (memory.size() < wanted.size()) memory.resize(wanted.size());
      const std::span<Activations> activations(memory.data(), wanted.size());
      for (Activations& a : activations) maps.Ask(a);
      model.EmbedImages(pixels, rows, workspace, activations);
      const std::vector<Index> answers = maps.Answers(rows);
      for (std::size_t k = 0; k < wanted.size(); ++k) {
        const Index answer = answers[k];
        const Array<double, 2> grid =
            maps.MapOf(activations[k], options.truth ? label_of[k] : answer);
        if (options.keep_maps) wanted[k]->map.assign(grid.flat().begin(), grid.flat().end());
        wanted[k]->right = label_of[k] == answer;
        wanted[k]->figures = CompareWithMask(ScaleMap(ResizeMap(grid, side, side)), masks[k]);
        wanted[k]->kind = Outcome::Kind::kDone;
      }
      spare.Give(std::move(memory));
    }
    if (options.progress) {
      const std::lock_guard lock(mutex);
      done += end - begin;
      options.progress(done, set.size());
    }
  });
  errors.CheckNotAll(set.size(), set.root());
  SegmentationResult result;
  result.skipped = errors.skipped();
  for (const Outcome& o : outcomes) {
    result.without_mask += o.kind == Outcome::Kind::kNoMask ? 1 : 0;
    result.without_label += o.kind == Outcome::Kind::kNoLabel ? 1 : 0;
    result.labelled += o.kind == Outcome::Kind::kDone && o.labelled ? 1 : 0;
  }
  result.all = FiguresOf(outcomes, false);
  if (result.all.pictures == 0) {
    throw Error(ErrorCode::kNotFound,
                "{}: none of its {} pictures can be counted: {} have no mask, {} no label that is "
                "a class; docs/datasets.md says where masks and labels stand",
                Printable(set.root(), 1024), set.size(), result.without_mask, result.without_label);
  }
  if (options.keep_maps) {
    result.maps = Array<float, 3>({result.all.pictures, config.grid(), config.grid()});
    float* to = result.maps.data();
    for (const Outcome& o : outcomes) to = std::ranges::copy(o.map, to).out;
  }
  if (result.labelled > 0) result.right = FiguresOf(outcomes, true);
  return result;
}

}  // namespace cliplens
