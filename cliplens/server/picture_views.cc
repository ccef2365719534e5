// Views of one picture: its scores, where they come from, its mask.
#include <algorithm>
#include <cmath>

#include "cliplens/analysis/explanation.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/explanations.h"
#include "cliplens/app/heat_maps.h"
#include "cliplens/app/masks.h"
#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/report/explanation_report.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/neuron_report.h"
#include "cliplens/report/segmentation_report.h"
#include "cliplens/server/views.h"

namespace cliplens::server {
namespace {

Response PngResponse(const Image& image) {
  const std::vector<std::uint8_t> png = EncodePng(image);
  return {.content_type = "image/png", .body = std::string(png.begin(), png.end())};
}

std::vector<std::string> RequestedTexts(const Arguments& request) {
  std::vector<std::string> texts = request.Texts("texts", kMostTexts);
  if (texts.empty()) throw Error(ErrorCode::kInvalidArgument, "texts: name at least one text");
  return texts;
}

// Texts, or the classes where there are none.
struct ScoredTexts {
  std::vector<std::string> names;
  Array<float, 2> rows;
};
ScoredTexts ScoredTextsOf(Source& source, const Arguments& request) {
  ScoredTexts scored{request.Texts("texts", kMostTexts), {}};
  if (scored.names.empty()) {
    scored.names = source.classifier().names;
    scored.rows = source.classifier().rows;
  } else {
    scored.rows = Array<float, 2>({static_cast<Index>(scored.names.size()), source.embed_width()});
    for (std::size_t i = 0; i < scored.names.size(); ++i) {
      std::ranges::copy(source.RowOfText(scored.names[i], request.Flag("truncate")),
                        scored.rows.row(static_cast<Index>(i)).data());
    }
  }
  return scored;
}

// Best first.
std::vector<ClassScore> ScoresBy(const ClipModel& model, std::span<const float> row,
                                 const ScoredTexts& texts) {
  return TopClasses(row, texts.rows, model.logits(), static_cast<Index>(texts.names.size()));
}

// Words of the strongest neurons, where a store of neurons has their layer.
void AddWords(Source& source, ScoreThrough& through) {
  constexpr Index kWords = 3;
  if (!source.options().neurons || !source.options().pool) return;
  const NeuronStore& store = source.neurons();
  if (!store.layers().contains(through.layer) || through.neurons.empty()) return;
  std::vector<NeuronId> ids;
  ids.reserve(through.neurons.size());
  for (const Index neuron : through.neurons) {
    ids.push_back({static_cast<int>(through.layer), static_cast<int>(neuron)});
  }
  const NeuronWordsReport words = DescribeNeurons(store, source.neuron_pool(), ids,
                                                  {.count = kWords}, {.threads = source.threads()});
  for (const NeuronWords& neuron : words.neurons) {
    through.words[neuron.id.neuron] = NeuronWordsText(neuron.words, words.pool);
  }
}

}  // namespace

ScoresReport PictureScoresOf(Source& source, const Arguments& request) {
  const ShownPicture picture = source.Picture(request.Object("picture"));
  const auto pass = source.Pass(picture);
  const ScoredTexts texts = ScoredTextsOf(source, request);
  std::vector<double> edited;
  if (request.Has("edit")) {
    const std::vector<float> row =
        EditedRow(source, *pass, WantedEditOf(source, request.Object("edit")));
    edited.resize(texts.names.size());
    for (const ClassScore& score : ScoresBy(source.model(), row, texts)) {
      At(edited, score.index) = score.similarity;
    }
  }
  ScoresReport report{.model_name = source.model_name(),
                      .fingerprint = source.fingerprint(),
                      .picture = picture.path,
                      .scores = {}};
  for (const ClassScore& score : ScoresBy(source.model(), pass->embedding.row(0), texts)) {
    report.scores.push_back({At(texts.names, score.index), score.similarity, score.probability});
    if (!edited.empty()) report.scores.back().edited = At(edited, score.index);
  }
  return report;
}

Response HeatMapOf(Source& source, const Arguments& request, bool png) {
  const ShownPicture picture = source.Picture(request.Object("picture"));
  const Source::Place place = source.PlaceOf(request, "in");
  TextMaps maps;
  maps.texts = RequestedTexts(request);
  if (request.Has("against")) {
    const Arguments against = request.Object("against");
    if (against.Flag("classes")) {
      maps.classes = &source.classifier();
    } else {
      maps.against = against.Text("text");
    }
  }
  maps.heads = place.heads;
  maps.heads_text = place.text;
  maps.truncate = request.Flag("truncate");
  const auto pass = source.Pass(picture);
  HeatMapReport report;
  report.picture = MappedPictureOf(source.model(), picture.image, picture.path);
  report.panels = PanelsOf(source.model(), *pass, maps, source.threads());
  if (png) return PngResponse(HeatMapSheet(report));
  return JsonResponse(HeatMapJson(report));
}

Response ExplanationOf(Source& source, const Arguments& request, bool png) {
  const ShownPicture picture = source.Picture(request.Object("picture"));
  const ClipModel& model = source.model();
  std::optional<Index> through;
  std::shared_ptr<const NeuronPaths> paths;
  if (const std::string layer = request.Text("through", ""); !layer.empty()) {
    through = ParseNeuronLayer(layer, model.config().vision.layers);
    paths = source.Paths(*through);
  }
  const auto pass = source.Pass(picture, through);
  ExplanationChoice choice{.against = request.Text("against", ""),
                           .truncate = request.Flag("truncate"),
                           .through = through,
                           .paths = paths.get()};
  if (request.Has("text")) {
    choice.text = request.Text("text");
  } else {
    choice.classes = &source.classifier();
    choice.class_name = request.Text("class", "");
  }
  const Index top = request.Count("top", 8, 1, kMostResults);
  choice.top = top;
  ExplanationReport report = ExplainPicture(model, *pass, choice, source.threads());
  report.picture = MappedPictureOf(model, picture.image, picture.path);
  report.top = top;
  if (report.through) AddWords(source, *report.through);
  if (const auto labels = source.labels()) report.labels = NamesOfHeads(labels->file);
  if (png) return PngResponse(ExplanationSheet(report));
  return JsonResponse(ExplanationJson(report));
}

Response MaskResponse(Source& source, const Arguments& request, bool png) {
  const ShownPicture picture = source.Picture(request.Object("picture"));
  const Source::Place place = source.PlaceOf(request, "in");
  MaskChoice choice{.heads = place.heads, .heads_text = place.text};
  if (request.Has("text")) {
    choice.text = request.Text("text");
    choice.row =
        EmbedWords(source.model(), {choice.text}, source.threads(), request.Flag("truncate"));
  } else {
    choice.classes = &source.classifier();
    choice.class_name = request.Text("class", "");
  }
  const MaskedPicture masked = MaskPicture(source.model(), *source.Pass(picture), picture.image,
                                           picture.path, choice, source.threads());
  if (png) return PngResponse(masked.image);
  return JsonResponse(PictureMaskJson(masked.mask));
}

}  // namespace cliplens::server
