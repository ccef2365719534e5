#include "cliplens/app/masks.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/io/file_name.h"

namespace cliplens {
namespace {

// The part of a map on the picture that the model saw.
Array<double, 2> SeenOf(const Array<double, 2>& on_picture, const PixelRegion& region) {
  const auto [columns, rows] = region;
  Array<double, 2> seen({rows.size(), columns.size()});
  for (Index y = 0; y < rows.size(); ++y) {
    std::copy_n(on_picture.row(rows.begin + y).data() + columns.begin, columns.size(),
                seen.row(y).data());
  }
  return seen;
}

// The scaled map on the picture, and the mask of what lies above its threshold.
void Paint(const ScaledMap& scaled, MaskedPicture& out) {
  const auto [columns, rows] = out.mask.region;
  for (Index y = 0; y < rows.size(); ++y) {
    for (Index x = 0; x < columns.size(); ++x) {
      const Index at_y = rows.begin + y;
      const Index at_x = columns.begin + x;
      out.values(at_y, at_x) = static_cast<float>(scaled.values(y, x));
      if (scaled.values(y, x) <= scaled.threshold) continue;
      At(out.image.pixels, at_y * out.image.width + at_x) = 255;
      ++out.mask.object_pixels;
    }
  }
}

// Options that the method does not look at would be left out in silence.
void CheckChoice(const MapChoice& choice) {
  const bool heads = choice.heads.heads != "all" || !choice.heads.property.empty();
  if (choice.method != MapMethod::kDecomposition && heads) {
    throw Error(ErrorCode::kInvalidArgument,
                "--method {} looks at no choice of heads; leave {} out", NameOf(choice.method),
                choice.heads.property.empty() ? "--heads" : "--property");
  }
  const bool neurons =
      choice.method == MapMethod::kNeurons || choice.method == MapMethod::kNeuronEffects;
  if (!neurons && (!choice.neurons.empty() || !choice.layers.empty())) {
    throw Error(ErrorCode::kInvalidArgument, "--method {} looks at no neurons; leave {} out",
                NameOf(choice.method), choice.neurons.empty() ? "--layers" : "--neurons");
  }
}

}  // namespace

ClassMaps OpenMaps(const ClipModel& model, ArrayView<const float, 2> rows, const MapChoice& choice,
                   int threads) {
  CheckChoice(choice);
  NeuronMaps neurons{.top = choice.top_neurons};
  std::optional<NeuronStore> store;
  if (!choice.neurons.empty()) {
    store = NeuronStore::Open(choice.neurons);
    neurons.store = &*store;
  }
  if (!choice.layers.empty()) {
    neurons.layers = ParseNeuronLayers(choice.layers, model.config().vision.layers);
  }
  return {model, rows, choice.method, ChooseHeads(choice.heads, HeadsIn(model)), threads, neurons};
}

MaskedPicture MaskPicture(const ClipModel& model, const TokenPass& pass, const Image& picture,
                          const std::string& path, const MaskChoice& choice, int threads) {
  const ClassMaps maps(model, choice.rows(), MapMethod::kDecomposition, choice.heads, threads);
  return MaskPicture(model, maps, pass, picture, path, choice);
}

MaskedPicture MaskPicture(const ClipModel& model, const ClassMaps& maps, const TokenPass& pass,
                          const Image& picture, const std::string& path, const MaskChoice& choice) {
  const Index width = picture.width;
  const Index height = picture.height;
  MaskedPicture out{.mask = {.model_name = model.name(),
                             .fingerprint = model.fingerprint(),
                             .picture = path,
                             .width = width,
                             .height = height,
                             .oriented = OrientedIn(picture),
                             .text = choice.text,
                             .method = maps.method(),
                             .cut = choice.cut,
                             .heads = choice.heads_text,
                             .region = {}},
                    .image = {.mode = PixelMode::kGray,
                              .width = width,
                              .height = height,
                              .pixels = {},
                              .palette = {},
                              .clear_color = std::nullopt},
                    .values = Array<float, 2>({height, width})};
  Index chosen = 0;
  if (choice.classes != nullptr) {
    out.mask.classes = std::ssize(choice.classes->names);
    out.mask.answer = choice.class_name.empty();
    chosen =
        out.mask.answer ? maps.Answers(pass.embedding)[0] : choice.classes->Find(choice.class_name);
    out.mask.text = At(choice.classes->names, chosen);
  }
  const GridRegion region = RegionOf(width, height, model.config());
  out.mask.region = PixelsOf(region, width, height);
  const Array<double, 2> on_picture =
      MapOnPicture(maps.MapOf(pass.captures, chosen), region, width, height);
  const ScaledMap scaled = ScaleMap(SeenOf(on_picture, out.mask.region), choice.cut);
  const std::span<const double> values = scaled.values.flat();
  out.mask.mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  out.mask.threshold = scaled.threshold;
  out.mask.empty = scaled.empty;
  out.image.pixels.assign(ToSize(width * height), 0);
  Paint(scaled, out);
  return out;
}

SegmentationReport SegmentPictures(const ClipModel& model, const ImageSet& set,
                                   const SegmentationChoice& choice, const Work& work) {
  SegmentationOptions options = choice.options;
  options.label = choice.classes.label;
  options.threads = work.threads;
  options.progress = work.Stage("pictures");
  const ClassTexts classes = ReadClasses(choice.classes, work.on_blank);
  const ClassMaps maps =
      OpenMaps(model, EmbedClasses(model, classes, work).rows, choice.maps, work.threads);
  return {.model_name = model.name(),
          .fingerprint = model.fingerprint(),
          .kind = set.kind(),
          .root = NameText(set.root()),
          .split = set.split(),
          .classes_name = classes.file.name,
          .classes = std::ssize(classes.file.names),
          .templates = std::ssize(classes.templates),
          .method = choice.maps.method,
          .heads = choice.maps.heads.Text(),
          .options = options,
          .result = EvaluateSegmentation(model, set, maps, ClassLabels(classes.file), options),
          .left_out = set.left_out()};
}

}  // namespace cliplens
