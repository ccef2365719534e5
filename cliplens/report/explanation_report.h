// The explanation of one score as tables, JSON and a picture.
//
//   const TokenPass pass = PassOf(model, picture, threads);
//   ExplanationReport report = ExplainPicture(model, pass, {.text = "a cat"}, threads);
//   report.picture = MappedPictureOf(model, picture, "cat.png");
//   WriteFileAtomically("why.png", EncodePng(ExplanationSheet(report)));
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/explanations.h"
#include "cliplens/base/array.h"
#include "cliplens/io/json.h"
#include "cliplens/report/heat_map_report.h"

namespace cliplens {

// Numbers of the components (Components) by contribution, largest first; ties go to the lower.
std::vector<Index> RankedComponents(const Explanation& explanation);

// The components that speak for the text, or against it, strongest first, `top` at most.
std::vector<Index> ComponentsOfSide(const ExplanationReport& report, bool against);
// A part as people read it: "duck", "text MLPs", with a minus before what is subtracted.
std::string PartText(const TextPart& part);

std::string ExplanationTable(const ExplanationReport& report);
// "cliplens.explain/1".
Json ExplanationJson(const ExplanationReport& report);
// The picture, the map of all words together, the components for and against, a map for each word,
// and with `through` the strongest neurons.
Image ExplanationSheet(const ExplanationReport& report);

}  // namespace cliplens
