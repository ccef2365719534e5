// The explanation of one score as tables, JSON and a picture.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cliplens/analysis/explanation.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/io/json.h"
#include "cliplens/report/heat_map_report.h"

namespace cliplens {

struct ExplanationReport {
  MappedPicture picture;
  std::string text;          // what is scored: a text or a class
  std::string against;       // what was taken off; empty: nothing
  std::string against_kind;  // "text", "runner-up", "class", "mean"; empty without
  int layers = 0, heads = 0;
  Index grid = 0;
  Explanation explanation;
  std::map<HeadId, std::string> labels;  // of heads that have one
  Index top = 8;                         // components listed on each side
};

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
