#include "cliplens/app/heat_maps.h"

#include <algorithm>

#include "cliplens/app/heads.h"
#include "cliplens/app/span_file.h"
#include "cliplens/base/index.h"
#include "cliplens/dataset/on_error.h"

namespace cliplens {

MappedPicture MappedPictureOf(const ClipModel& model, const Image& picture,
                              const std::string& path) {
  return {.path = path,
          .rgb = ConvertToRgb(picture),
          .region = RegionOf(picture.width, picture.height, model.config()),
          .model_name = model.name(),
          .fingerprint = model.fingerprint(),
          .precision = NameOf(model.precision()),
          .oriented = OrientedIn(picture),
          .class_token = model.config().class_token,
          .pools_class_token = model.config().pool.kind == Pooling::kToken,
          .registers = model.config().registers > 0,
          .pool_mlp = model.image_readout().components().has_pool_mlp(),
          .level = model.image_readout().components().level()};
}

std::vector<HeatMapPanel> PanelsOf(const ClipModel& model, const TokenPass& pass,
                                   const TextMaps& wanted, int threads) {
  const Array<float, 2> texts = EmbedWords(model, wanted.texts, threads, wanted.truncate);
  Array<float, 2> against;
  std::string against_text = wanted.against;
  if (wanted.classes != nullptr) {
    against = wanted.classes->Mean();
    against_text = wanted.classes->MeanName();
  } else if (!wanted.against.empty()) {
    against = EmbedWords(model, {wanted.against}, threads, wanted.truncate);
  }
  const Index count = texts.dim(0);
  Array<float, 2> rows({count + (against.empty() ? 0 : 1), texts.dim(1)});
  std::ranges::copy(against.flat(), std::ranges::copy(texts.flat(), rows.data()).out);
  for (Index i = 0; wanted.classes != nullptr && i < count; ++i) {
    const std::vector<std::string>& names = wanted.classes->names;
    const auto found = std::ranges::find(names, At(wanted.texts, i));
    if (found == names.end()) continue;
    std::ranges::copy(wanted.classes->rows.row(found - names.begin()), rows.row(i).data());
  }
  const std::vector<HeatMap> maps = HeatMaps(model, pass, rows, wanted.heads, threads);
  std::vector<HeatMapPanel> panels;
  for (std::size_t i = 0; i < wanted.texts.size(); ++i) {
    panels.push_back({wanted.texts[i], against_text, wanted.heads_text, wanted.heads,
                      against.empty() ? maps[i] : Difference(maps[i], maps.back())});
  }
  return panels;
}

std::vector<HeatMapPanel> DirectionPanels(const ClipModel& model, const TokenPass& pass,
                                          const std::string& span,
                                          const std::vector<std::string>& names, int threads) {
  const SpanFile file = ReadSpanFile(span, HeadsIn(model));
  std::vector<SpanDirection> chosen;
  std::vector<std::string> texts;
  for (const std::string& name : names) {
    chosen.push_back(DirectionNamed(file, name));
    texts.push_back(chosen.back().text);
  }
  // Where 'span' took a long text, it cut it.
  const Array<float, 2> rows = EmbedWords(model, texts, threads, /*truncate=*/true);
  std::vector<HeatMapPanel> panels;
  for (Index i = 0; i < std::ssize(chosen); ++i) {
    const SpanDirection& direction = At(chosen, i);
    const std::vector<HeadId> head = {direction.head};
    panels.push_back({direction.text, "", "head " + HeadName(direction.head), head,
                      HeatMaps(model, pass, rows.rows(i, i + 1), head, threads).front()});
  }
  return panels;
}

}  // namespace cliplens
