// Ablation and reconstruction as JSON (docs/json.md), CSV, tables and curves.
//
//   const AccuracyInput input = OpenAccuracy(store, model, {.classes = "objects.txt"}, {});
//   const AblationResult result =
//       Ablate(store, store.statistics(), input.classifier.rows, input.labels.classes, {});
//   Print(AblationTable(input.setting, result, /*components=*/10));
//   WriteFileAtomically("curve.svg", RenderCurve(AblationCurve(result)));
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/ablation.h"
#include "cliplens/app/accuracy.h"
#include "cliplens/io/json.h"
#include "cliplens/report/curve.h"

namespace cliplens {

// What every analysis of accuracy says of its setting: the opening of its JSON, and a line of text.
Json SettingJson(const char* format, const AccuracySetting& setting, Index images);
std::string SettingText(const AccuracySetting& setting, Index images);
Json RowJson(const AblationRow& row);  // {"name", "accuracy", "score"}

// Components, those first whose loss costs most accuracy.
std::vector<const ComponentAblation*> ComponentsByLoss(const AblationResult& result);

// "cliplens.ablate/2".
Json AblationJson(const AccuracySetting& setting, const AblationResult& result);
// One line a figure: kind, name, then accuracy and score with their bounds; kinds are row,
// cumulative, last-only and component (accuracy and score that were lost).
std::string AblationCsv(const AblationResult& result);
// The four rows, both curves and the `components` components whose loss costs most.
std::string AblationTable(const AccuracySetting& setting, const AblationResult& result,
                          Index components);
Curve AblationCurve(const AblationResult& result);

// "cliplens.reconstruct/2".
Json ReconstructionJson(const ReconstructionReport& report);
std::string ReconstructionCsv(const std::vector<PoolReconstruction>& pools);
std::string ReconstructionTable(const ReconstructionReport& report);

}  // namespace cliplens
