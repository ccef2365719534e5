#include "cliplens/analysis/segmentation.h"

#include <algorithm>
#include <utility>

#include "cliplens/analysis/scored_labels.h"
#include "cliplens/analysis/token_map.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/picture_loop.h"

namespace cliplens {
namespace {

// What one picture adds.
struct Outcome {
  enum class Kind { kUnread, kNoMask, kNoLabel, kDone } kind = Kind::kUnread;
  std::string path;
  Index label = -1;  // of the picture, where it is a class
  bool right = false;
  PictureSegmentation figures;
  std::vector<float> map;  // where maps are kept
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

// The pictures of a set, read with their masks and labels, and what each adds.
class Evaluation {
 public:
  Evaluation(const ClipModel& model, const ImageSet& set, const ClassMaps& maps,
             const ClassLabels& labels, const SegmentationOptions& options)
      : model_(model),
        set_(set),
        maps_(maps),
        labels_(labels),
        options_(options),
        ignore_(options.ignore ? options.ignore : set.mask_ignore()),
        outcomes_(ToSize(set.size())),
        masks_(outcomes_.size()) {}

  void Run(SegmentationResult& result) {
    PictureErrors errors(options_.on_error);
    ProgressCount progress(options_.progress, set_.size());
    PictureLoopOptions loop{.captures = maps_.captures(), .threads = options_.threads};
    if (options_.geometry == MapGeometry::kSquash) {
      loop.preprocess = Squashed(model_.config().preprocess);
    }
    loop.wanted = [this](Index i, const Item& item, const Image& image) {
      return ReadMask(i, item, image);
    };
    PictureLoop(model_, set_, loop)
        .Run(0, set_.size(), errors, progress, [this](const PictureBatch& batch) { Add(batch); });
    errors.CheckNotAll(set_.size(), set_.root());
    result.skipped = errors.skipped();
    result.incomplete = errors.incomplete();
    result.oriented = errors.oriented();
  }

  const std::vector<Outcome>& outcomes() const { return outcomes_; }

 private:
  // Whether the picture has what is needed: a mask, and with `truth` a class.
  bool ReadMask(Index i, const Item& item, const Image& image) {
    Outcome& outcome = At(outcomes_, i);
    const std::optional<std::string> label = LabelOf(item, options_.label);
    outcome.label = label ? labels_.IndexOf(*label) : -1;
    if (options_.truth && outcome.label < 0) {
      outcome.kind = Outcome::Kind::kNoLabel;
      return false;
    }
    const std::optional<std::vector<std::uint8_t>> bytes = set_.ReadMask(i);
    if (!bytes) {
      outcome.kind = Outcome::Kind::kNoMask;
      return false;
    }
    const std::string name = item.path + ": mask";
    const Image mask = DecodeImage(*bytes, name);
    if (mask.width != image.width || mask.height != image.height) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: is {} x {} pixels, its picture {} x {}; a mask has the picture's size",
                  Printable(name, 1024), mask.width, mask.height, image.width, image.height);
    }
    outcome.path = item.path;
    At(masks_, i) =
        MaskOnInput(ReadMaskPixels(mask, ignore_, name), model_.config(), options_.geometry);
    return true;
  }

  void Add(const PictureBatch& batch) {
    const Index side = model_.config().grid() * model_.config().patch_size;
    const std::vector<Index> answers = maps_.Answers(batch.embeddings);
    for (Index k = 0; k < batch.size(); ++k) {
      const Index i = At(batch.index, k);
      Outcome& outcome = At(outcomes_, i);
      const MaskPixels mask = std::exchange(At(masks_, i), {});
      const Index answer = At(answers, k);
      const Array<double, 2> grid =
          maps_.MapOf(At(batch.captures, k), options_.truth ? outcome.label : answer);
      if (options_.keep_maps) outcome.map.assign(grid.flat().begin(), grid.flat().end());
      outcome.right = outcome.label == answer;
      outcome.figures = CompareWithMask(ScaleMap(ResizeMap(grid, side, side), options_.cut), mask);
      outcome.kind = Outcome::Kind::kDone;
    }
  }

  const ClipModel& model_;
  const ImageSet& set_;
  const ClassMaps& maps_;
  const ClassLabels& labels_;
  const SegmentationOptions& options_;
  std::optional<int> ignore_;
  std::vector<Outcome> outcomes_;
  std::vector<MaskPixels> masks_;  // of pictures that are in a pass
};

}  // namespace

SegmentationResult EvaluateSegmentation(const ClipModel& model, const ImageSet& set,
                                        const ClassMaps& maps, const ClassLabels& labels,
                                        const SegmentationOptions& options) {
  Evaluation evaluation(model, set, maps, labels, options);
  SegmentationResult result;
  evaluation.Run(result);
  const std::vector<Outcome>& outcomes = evaluation.outcomes();
  for (const Outcome& o : outcomes) {
    result.without_mask += o.kind == Outcome::Kind::kNoMask ? 1 : 0;
    result.without_label += o.kind == Outcome::Kind::kNoLabel ? 1 : 0;
    result.labelled += o.kind == Outcome::Kind::kDone && o.label >= 0 ? 1 : 0;
  }
  result.all = FiguresOf(outcomes, false);
  if (result.all.pictures == 0) {
    throw Error(ErrorCode::kNotFound,
                "{}: none of its {} pictures can be counted: {} have no mask, {} no label that is "
                "a class; docs/datasets.md says where masks and labels stand",
                Printable(set.root(), 1024), set.size(), result.without_mask, result.without_label);
  }
  if (options.keep_maps) {
    result.maps =
        Array<float, 3>({result.all.pictures, model.config().grid(), model.config().grid()});
    float* to = result.maps.data();
    for (const Outcome& o : outcomes) to = std::ranges::copy(o.map, to).out;
  }
  if (result.labelled > 0) result.right = FiguresOf(outcomes, true);
  return result;
}

}  // namespace cliplens
