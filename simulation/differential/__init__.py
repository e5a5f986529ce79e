"""The same seed on the simulated data plane and on another one, moto or the local account: every answer is compared.

Only DynamoDB and S3 have another side. Batch, EventBridge, Lambda, EC2 and instance metadata are the simulated ones
always: their time is the simulation's, and no emulator lets a test decide when a host dies.
"""
