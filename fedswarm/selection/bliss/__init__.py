"""Bliss: predicts the utility of clients from what is known of their devices, and takes the most promising.

The published system is a fork of FedScale; there is no paper. Where its code and its description differ, or where its
code defeats its own purpose, the default here is the better of the two, and ``selection.bliss.fidelity: reference``
gives what the code does:

===================  =============================================  ============================================
what                 default                                        ``reference``
===================  =============================================  ============================================
features of h        no success flag of the round to be predicted;  83 published ones: the flag and the round of
                     the round is the present one in both phases    the outcome in training, 0 in prediction
features of g        78 published ones and the round                78 published ones
failures             a model of their own: predicted utility times  utility 0, among the utilities
                     predicted chance to count
h not fitted yet     g predicts for those seen, too                 those seen are predicted 0
===================  =============================================  ============================================

Switched by ``selection.bliss.ranking``: ``top`` takes the highest predictions (the code), ``weighted`` draws by them
(the description). Never reproduced: a penalty that rewards the slow (here it is ``(T / duration)^alpha``, at most 1),
and picks among clients that are offline.

What the code calls *seen* (selected before) is here *heard of*: a client counts from its first feedback on, so a
selection that came to nothing leaves no half-empty rows for the regressors.
"""
