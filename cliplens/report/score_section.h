// The report's section on single scores: heat maps over one picture, one score taken apart.
#pragma once

#include <set>
#include <string>

#include "cliplens/base/component.h"
#include "cliplens/report/explanation_report.h"
#include "cliplens/report/heat_map_report.h"

namespace cliplens {

struct ReportScores {
  HeatMapReport maps;
  ExplanationReport explanation;  // of the same picture
};

// `listed`: heads that the page has a card for, which names lead to.
std::string ScoreSection(const ReportScores& scores, const std::set<HeadId>& listed);

}  // namespace cliplens
