// The answers of the explorer's routes, one function for each view. They call the same functions of
// app and report as the command line.
//
//   Print(DumpJson(OverviewOf(source)));
#pragma once

#include "cliplens/io/json.h"
#include "cliplens/report/explorer_report.h"
#include "cliplens/server/message.h"
#include "cliplens/server/source.h"

namespace cliplens::server {

Json DescriptionOf(Source& source);  // an entry of "cliplens.sources/1"
Json JobJson(const JobStatus& status);

// Views of a store (store_views.cc).
Json OverviewOf(Source& source);
Json HeadOf(Source& source, const std::string& head, const Request& request);
Json ItemListOf(Source& source, const Request& request);
Json SearchOf(Source& source, const Arguments& request);
Json MatchOf(Source& source, Source& other);

// Views of one picture (picture_views.cc). With `png` a figure instead of the numbers.
ScoresReport PictureScoresOf(Source& source, const Arguments& request);
Response HeatMapOf(Source& source, const Arguments& request, bool png);
Response ExplanationOf(Source& source, const Arguments& request, bool png);
Response MaskResponse(Source& source, const Arguments& request, bool png);

// Edits (edit_views.cc).
Json EditedOf(Source& source, const Arguments& request);
Response EditFileOf(Source& source, const Arguments& request);
Json OpenedEditOf(Source& source, const std::string& file);

// {"components": [...], "mode", "scale"} of a request.
struct WantedEdit {
  std::vector<ComponentId> targets;
  bool mean = true;
  double scale = 0;
};
WantedEdit WantedEditOf(const Source& source, const Arguments& edit);
// The same as an edit with the store's own means.
Edit MakeEdit(Source& source, const WantedEdit& wanted);

}  // namespace cliplens::server
