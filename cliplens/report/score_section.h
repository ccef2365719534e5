// The report's section on single scores: heat maps over one picture, and the parts of one score.
//
//   const ReportScores scores =
//       MakeScores(model, picture, "cat.png", {"a cat"}, /*truncate=*/false, threads);
//   Print(ScoreSection(scores, /*listed=*/{}));
#pragma once

#include <set>
#include <string>

#include "cliplens/app/explanations.h"
#include "cliplens/base/component.h"
#include "cliplens/io/image.h"

namespace cliplens {

// A picture in the page itself; `what` is said in its place.
std::string ImageTag(const Image& image, const std::string& what);
// The colours of maps whose full colour is `scale`; `says` what it is of.
std::string ScaleLegend(double scale, std::string_view says = "of the score, by patch");

// `listed`: heads with a card on the page, to which names link.
std::string ScoreSection(const ReportScores& scores, const std::set<HeadId>& listed);

}  // namespace cliplens
