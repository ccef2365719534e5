// The explanation of one score as tables, JSON and a picture.
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/explanations.h"
#include "cliplens/base/array.h"
#include "cliplens/io/json.h"
#include "cliplens/report/heat_map_report.h"

namespace cliplens {

// Numbers of the components (ComponentName) by what they bring, most first; ties go to the lower.
std::vector<Index> RankedComponents(const Explanation& explanation);

// Those that speak for the text, or against it, strongest first, `top` at most.
std::vector<Index> ComponentsOfSide(const ExplanationReport& report, bool against);
// A part as people read it: "duck", "text MLPs", with a minus before what is taken off.
std::string PartText(const TextPart& part);

std::string ExplanationTable(const ExplanationReport& report);
// "cliplens.explain/1".
Json ExplanationJson(const ExplanationReport& report);
// The picture, the map of all words together, the components for and against, and a map for each
// word.
Image ExplanationSheet(const ExplanationReport& report);

}  // namespace cliplens
