#include "cliplens/app/explanations.h"

#include <utility>

#include "cliplens/app/heads.h"

namespace cliplens {

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
