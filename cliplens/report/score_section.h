// The report's section on single scores: heat maps over one picture, one score taken apart.
#pragma once

#include <set>
#include <string>

#include "cliplens/app/explanations.h"
#include "cliplens/base/component.h"

namespace cliplens {

// `listed`: heads that the page has a card for, which names lead to.
std::string ScoreSection(const ReportScores& scores, const std::set<HeadId>& listed);

}  // namespace cliplens
