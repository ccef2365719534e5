#include "cliplens/app/masks.h"

#include <algorithm>

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

// The scaled map on the picture, and the mask of what lies above its mean.
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

}  // namespace

MaskedPicture MaskPicture(const ClipModel& model, const TokenPass& pass, const Image& picture,
                          const std::string& path, const MaskChoice& choice, int threads) {
  const Index width = picture.width;
  const Index height = picture.height;
  MaskedPicture out{.mask = {.model_name = model.name(),
                             .fingerprint = model.fingerprint(),
                             .picture = path,
                             .width = width,
                             .height = height,
                             .oriented = OrientedIn(picture),
                             .text = choice.text,
                             .heads = choice.heads_text,
                             .region = {}},
                    .image = {.mode = PixelMode::kGray,
                              .width = width,
                              .height = height,
                              .pixels = {},
                              .palette = {},
                              .clear_color = std::nullopt},
                    .values = Array<float, 2>({height, width})};
  const ClassMaps maps(model, choice.classes != nullptr ? choice.classes->rows : choice.row,
                       MapMethod::kDecomposition, choice.heads, threads);
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
  const ScaledMap scaled = ScaleMap(SeenOf(on_picture, out.mask.region));
  out.mask.mean = scaled.threshold;
  out.mask.empty = scaled.empty;
  out.image.pixels.assign(ToSize(width * height), 0);
  Paint(scaled, out);
  return out;
}

SegmentationReport SegmentPictures(const ClipModel& model, const ImageSet& set,
                                   const SegmentationChoice& choice, const Work& work) {
  SegmentationOptions options = choice.options;
  options.heads = ChooseHeads(choice.heads, HeadsIn(model));
  options.label = choice.classes.label;
  options.threads = work.threads;
  options.progress = work.Stage("pictures");
  const ClassTexts classes = ReadClasses(choice.classes, work.on_blank);
  const Array<float, 2> rows = EmbedClasses(model, classes, work).rows;
  return {.model_name = model.name(),
          .fingerprint = model.fingerprint(),
          .kind = set.kind(),
          .root = NameText(set.root()),
          .split = set.split(),
          .classes_name = classes.file.name,
          .classes = std::ssize(classes.file.names),
          .templates = std::ssize(classes.templates),
          .heads = choice.heads.Text(),
          .options = options,
          .result = EvaluateSegmentation(model, set, rows, ClassLabels(classes.file), options),
          .left_out = set.left_out()};
}

}  // namespace cliplens
