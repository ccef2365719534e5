// How sure the label of a head is: the figures that speak for it, and the probability that they
// give (docs/labels.md, "Confidence").
//
//   const TextEvidence evidence{.alignment = 4.2, .peak = 0.4};
//   const double net = /*share=*/0.31 - TurnedPart(evidence) * /*share of turned texts=*/0.08;
#pragma once

#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"

namespace cliplens {

// What says that texts describe the pictures, without knowing what is on them.
struct TextEvidence {
  // E times the mean share of the embeddings' variance along a text (about the mean of its
  // property's texts): 1 for directions at random.
  double alignment = 0;
  // Mean over the pictures of the largest score, in standard deviations of each text's scores,
  // beyond that of the same texts turned at random: 0 where no text stands out.
  double peak = 0;
};

// E times the mean share of the variance along the rows of `texts` [m, E], unit rows.
//   covariance: [E, E], up to a factor
double AlignmentOf(const Matrix& texts, const Matrix& covariance, Index width);

// The part of what turned texts explain of a head that a property's share owes to the same cause,
// in (0, 1]: answers that mean nothing still divide the pictures by what the embedding is made of.
double TurnedPart(const TextEvidence& evidence);

// What a confidence is computed from, and the next property, which has no part in it.
struct LabelFigures {
  double net = 0;       // of the guess: share − turned part · share of the turned texts
  double next_net = 0;  // the largest of the other properties, with what they gave up
  double share = 0;     // of the guess
  double error = 0;     // standard error of the guess's share if it had nothing to do with the head
  double next_error = 0;  // of the other property's share
  double stability = 0;   // share of the halves of pictures and of texts that give the same guess
  double head_alignment = 0;  // alignment of the guess's texts with the head's contributions
  double text_alignment = 0;  // TextEvidence of the guess
  double text_peak = 0;
  double table_alignment = 0;  // mean logarithm over the better half of the table's properties
  double table_peak = 0;       // mean over the better half
  double images = 0;
  double properties = 0;  // of the table
  double texts = 0;       // of the guess
};

// The probability that the guess is the property that explains most of the head.
double ConfidenceOf(const LabelFigures& figures);

// Standard error of a share corrected for the number of groups, for groups at random: R² has the
// variance 2 (G−1)(n−G) / ((n−1)²(n+1)) for one direction, and `directions` average it.
//   directions: the effective number of directions in which the head varies
double ErrorOfShare(double images, double groups, double directions);

}  // namespace cliplens
