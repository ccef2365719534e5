#include "cliplens/cli/scored_picture.h"

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/io/file.h"

namespace cliplens::cli {

Image ReadPicture(const std::string& path) {
  return DecodeImage(ReadFile(path, Index{1} << 30, FileKind::kRegularOrPipe), path);
}

ReportScores MakeScores(const ClipModel& model, const Image& picture, const std::string& path,
                        const std::vector<std::string>& texts, const LabelReport* labels,
                        int threads) {
  const Array<float, 2> rows = EmbedWords(model, texts, threads);
  const TokenPass pass = PassOf(model, picture, threads);
  const TowerConfig& tower = model.config().vision;
  const std::vector<HeadId> heads =
      ParseHeads("all", static_cast<int>(tower.layers), static_cast<int>(tower.heads));
  ReportScores scores;
  scores.maps.picture = MappedPictureOf(model, picture, path);
  std::vector<HeatMap> maps = HeatMaps(model, pass, rows, heads, threads);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    scores.maps.panels.push_back({texts[i], "", "heads all", heads, std::move(maps[i])});
  }
  ExplanationReport& report = scores.explanation;
  report.picture = scores.maps.picture;
  report.text = texts.front();
  report.layers = static_cast<int>(tower.layers);
  report.heads = static_cast<int>(tower.heads);
  report.grid = model.config().grid();
  report.explanation = Explain(model, pass, TextStatement(model, report.text, threads), threads);
  if (labels != nullptr) {
    for (const HeadLabel& head : labels->labels) {
      if (head.label < 0) continue;
      report.labels[head.id] = At(labels->table.names, head.label);
    }
  }
  return scores;
}

}  // namespace cliplens::cli
