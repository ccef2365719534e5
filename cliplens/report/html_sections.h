// Sections of the report that further analyses fill: labels of heads, ablation, groups.
//
//   const LabelReport labels = MakeLabels(store, model, LabellingOptions(), {});
//   Print(LabelSection(labels, /*listed=*/{}));
#pragma once

#include <functional>
#include <set>
#include <string>

#include "cliplens/base/component.h"
#include "cliplens/report/ablation_report.h"
#include "cliplens/report/group_report.h"
#include "cliplens/report/label_report.h"

namespace cliplens {

// Layers x heads coloured by label, stronger where the confidence is higher, and the heads of each
// property. `listed`: heads with a card on the page, to which cells link.
std::string LabelSection(const LabelReport& report, const std::set<HeadId>& listed);

// A head's label on its card: confidence, stability, coverage and rival, what each property
// explains, the texts that speak for it. `picture` gives the HTML of a picture of the store.
std::string LabelOfCard(const LabelReport& report, const HeadLabel& label,
                        const std::function<std::string(const LabelEvidence&)>& picture);

// Rows, curve and the components whose loss costs most.
std::string AblationSection(const AccuracySetting& setting, const AblationResult& result);

// Accuracy by group before and after an edit, and beside random heads.
std::string GroupSection(const GroupReport& report);

}  // namespace cliplens
