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

// Views of a store (store_views.cc).
Json OverviewOf(Source& source);
Json HeadOf(Source& source, const std::string& head, const Request& request);
Json ItemListOf(Source& source, const Request& request);
Json SearchOf(Source& source, const Arguments& request);
Json MatchOf(Source& source, Source& other);

// Views of neurons (neuron_views.cc).
Json NeuronListOf(Source& source, const Request& request);
Json NeuronOf(Source& source, const std::string& neuron, const Request& request);
Json FiringsOf(Source& source, const Arguments& request);

// Views of one picture (picture_views.cc). With `png` a figure instead of the numbers.
ScoresReport PictureScoresOf(Source& source, const Arguments& request);
Response HeatMapOf(Source& source, const Arguments& request, bool png);
Response ExplanationOf(Source& source, const Arguments& request, bool png);
Response MaskResponse(Source& source, const Arguments& request, bool png);

// Edits (edit_views.cc).
EditedReport EditedOf(Source& source, const Arguments& request);
Response EditFileOf(Source& source, const Arguments& request);
Json OpenedEditOf(Source& source, const std::string& file);

// {"components": [...], "mode", "scale"} of a request.
WantedEdit WantedEditOf(const Source& source, const Arguments& edit);
// The same as an edit with the store's own means.
Edit MakeEdit(Source& source, const WantedEdit& wanted);
// The unit row [E] of a picture under the edit.
std::vector<float> EditedRow(Source& source, const TokenPass& pass, const WantedEdit& wanted);

}  // namespace cliplens::server
