#include "cliplens/app/explanations.h"

#include <algorithm>
#include <utility>

#include "cliplens/app/heads.h"

namespace cliplens {
namespace {

ScoreThrough SplitThrough(const ClipModel& model, const TokenPass& pass, const Explanation& whole,
                          std::span<const float> direction, const NeuronPaths& paths, Index top) {
  const Index layer = paths.layer();
  const Vector text =
      Eigen::Map<const Eigen::VectorXf>(direction.data(), std::ssize(direction)).cast<double>();
  ScoreThrough through;
  through.layer = layer;
  through.scores = ScoreNeurons(paths, pass.captures, text);
  for (Index j = 0; j < paths.channels(); ++j) through.heads.push_back(paths.head(j));
  const Components components = model.image_readout().components();
  for (Index i = 0; i < components.size(); ++i) {
    const ComponentId id = components.at(i);
    const double score = At(whole.components, i);
    if (id.kind == ComponentId::Kind::kInput) {
      through.input += score;
    } else if (!id.is_head()) {
      through.mlps += score;
    } else {
      (id.layer > layer ? through.later_heads : through.other_heads) += score;
    }
  }
  through.later_heads -= through.scores.sum();
  through.neurons = StrongestNeurons(through.scores, top);
  through.tokens = Array<double, 2>({std::ssize(through.neurons), pass.captures.pattern.dim(2)});
  for (Index n = 0; n < std::ssize(through.neurons); ++n) {
    std::ranges::copy(TokensOfNeuron(paths, pass.captures, At(through.neurons, n), text),
                      through.tokens.row(n).data());
  }
  return through;
}

}  // namespace

ExplanationReport ExplainPicture(const ClipModel& model, const TokenPass& pass,
                                 const ExplanationChoice& choice, int threads) {
  const NamedStatement named =
      choice.classes == nullptr
          ? TextAgainst(model, choice.text, choice.against, threads, choice.truncate)
          : ClassAgainst(model, pass, *choice.classes, choice.class_name, choice.against, threads);
  const ModelHeads all = HeadsIn(model);
  ExplanationReport report;
  report.text = named.text;
  report.against = named.against;
  report.against_kind = named.against_kind;
  report.layers = all.layers;
  report.heads = all.heads;
  report.grid = model.config().grid();
  report.explanation = Explain(model, pass, named.statement, threads);
  if (choice.through) {
    std::optional<NeuronPaths> made;
    if (choice.paths == nullptr) {
      made.emplace(model.image_tower(), model.image_readout(), *choice.through, threads);
    }
    report.through = SplitThrough(model, pass, report.explanation, named.statement.direction,
                                  made ? *made : *choice.paths, choice.top);
  }
  return report;
}

ReportScores MakeScores(const ClipModel& model, const Image& picture, const std::string& path,
                        const std::vector<std::string>& texts, bool truncate, int threads) {
  const TokenPass pass = PassOf(model, picture, threads, path);
  ReportScores scores;
  scores.maps.picture = MappedPictureOf(model, picture, path);
  scores.maps.panels = PanelsOf(model, pass,
                                {.texts = texts,
                                 .heads = HeadsIn(model).Parse("all"),
                                 .heads_text = "heads all",
                                 .truncate = truncate},
                                threads);
  scores.explanation =
      ExplainPicture(model, pass, {.text = texts.front(), .truncate = truncate}, threads);
  scores.explanation.picture = scores.maps.picture;
  return scores;
}

}  // namespace cliplens
