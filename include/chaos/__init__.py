"""Real flows on real worker processes that are killed, between sandboxes that misbehave; then both sides are compared.

`python -m chaos`, `make chaos KILLS=200`. Only this folder knows how to break things; nothing of the product is
changed but two seams, both named in `worker.py`: where secrets are kept, and how fast a quota's clock runs.
"""
