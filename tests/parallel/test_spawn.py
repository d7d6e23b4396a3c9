import numpy as np
def total(comm):
    a=np.array([2.0**comm.rank]); comm.allreduce(a); return a[0]
